"""Figures of runs for papers: ``python -m harness.plots scale|forest|bars|radar|reliance RUN …``.

=============  ==================================================================================
style          what all figures share: sizes, fonts, colours and shapes that survive greyscale
drawing        a finished figure with its numbers and remarks, written as PNG, SVG, PDF, CSV
metrics        which of a run's metrics are drawn, in which unit, and what a reader must know
training       how the runs' checkpoints were trained
scale          score against preference pairs, training steps or parameters
rows           metrics below each other, as the next two figures have them
forest         paired differences to a baseline
reliance       score, score of the control without the picture, and their difference
categories     the categories of one metric as bars or on a radar
=============  ==================================================================================

Each of the last four has a function that takes open runs and returns a ``Drawing``.
"""
