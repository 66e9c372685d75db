"""Human evaluation: sheets out, annotators' files in, and what follows from them.

::

    rubrics.py   what annotators are asked, and which verdicts there are
    study.py     a study: questions, what is judged, who sees it on which side; kept in key.json
    draw.py      a stratified, blinded, side-randomised study from runs
    handout.py   what an annotator gets: the texts of one sheet and its pictures
    sheets.py    the handout as .xlsx and .csv
    page.py      the handout as one offline page (page.html, page.css, page.js)
    export.py    the folder: a handout for each annotator, and the key apart from them
    verdicts.py  annotators' files: read, checked, merged
    results.py   wins and ties or ratings, agreement, who disagrees on what
    report.py    the same for the terminal, as Markdown, JSON and CSV
    correct.py   few human ratings and many of a judge (harness.judge_correction)
"""
