"""Tell: rows while a run goes on, then tables and summaries made of nothing but rows.

    rows       one case's verdict as a flat record that stands alone; the table of columns
    recorder   writes rows at once, and every report when the run ends
    run        what a finished run came to: verdict, missing cases, counts, worst cases
    tables     the views that a summary shows
    terminal, markdown, junit, drift_csv   one way of showing a run each
    frames     a run, or all runs, read back into pandas

Only `frames` imports pandas, and only `recorder.finish` and the reader import `frames`. Imports
core, cases, store and oracle.
"""
