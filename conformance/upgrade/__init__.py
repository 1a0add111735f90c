"""Can we take the new JAX? Record under each release, compare, and say what changed and since when.

Imports everything below run. What runs inside the environment of a release is `observe.child`.

    uv             what installs a release, and the cache folder
    compare        two recordings or golden sets -> a comparison, case by case
    qr, rerun      SciPy's own QR of a matrix, under the LAPACK that a side recorded
    outside        the causes that lie outside of JAX and XLA: LAPACK, the C library
    releases       which releases there are, and what each of them needs beside it
    policy         how much drift passes, for which initializer and dtype, until when
    environments   an isolated environment for a release, solved and built once
    tables         a verdict as text, Markdown, JSON, CSV and Parquet
    recordings     what a release returned, recorded once in its environment
    gate           both sides recorded, compared, judged
    series         one recording for each release, had when it is asked for
    bisect         the first release that differs; every release that does
    survey         what changed from each release to the next, as a document

Imports point up this list.
"""
