"""Questions about a frame whose answers are known from its labels: kinds, facts, wording, drawing."""
