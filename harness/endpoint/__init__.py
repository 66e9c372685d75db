"""An OpenAI-compatible endpoint, reached, paced and retried: what judges and hosted models share."""
