"""Can we take the new JAX? Record under each release, compare, and say what changed and since when.

    compare        two recordings or golden sets -> a comparison, case by case
    policy         how much drift passes, for which initializer and dtype, until when
    tables         a comparison as text, Markdown, JSON, CSV and Parquet
    releases       which releases there are, and what each of them needs beside it
    environments   an isolated environment for a release, solved and built once
    recordings     what a release returned, recorded once in its environment
    target         a user's own parameters as a recording; runs inside the environment
    gate           both sides recorded, compared, judged
    bisect         the first release that differs; every release that does
    history        when each case last changed, over many runs

Imports point down: each uses only what stands above it. `target` imports no other of them.
"""
