"""From records to features, scores, decisions and files; training in its own corner."""
