"""The benchmark sets that papers use: where they lie, and how they get here."""
