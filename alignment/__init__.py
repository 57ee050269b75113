"""What every stage shares and that knows no stage: records, settings, tokens, models, sampling, log-probs, evaluation."""
