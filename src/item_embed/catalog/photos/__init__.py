"""A row's photo: where it lies, whether it can be used, the form in which a catalogue keeps it."""
