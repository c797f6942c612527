"""Nine patterns of tutorials. In each module, `as_written()` connects the tutorial's form, `ours()` Heliograph's."""
