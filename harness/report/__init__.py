"""``python -m harness.report``: one self-contained HTML page to look through runs.

::

    __main__.py     the command
    build.py        runs in, page out
    overview.py     what stands at the top: what ran, the comparison, what the plots show
    samples.py      every item of every run, aligned over the runs, as columns for the page
    item_scores.py  one number per item and run, to sort and filter by
    pictures.py     thumbnails under a budget of bytes
    page.py         all of it as one file that no network is needed for and no answer can run in
    templates/      the page: HTML, CSS, and the scripts in the order in which ``page.SCRIPTS`` joins them
"""
