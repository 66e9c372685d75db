"""Judges grade answers: ``options.make_judge`` builds one, ``harness.judging`` puts it to work."""
