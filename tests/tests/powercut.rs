//! Power cuts: a machine inside this one is killed, and its disk checked.
