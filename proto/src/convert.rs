//! Between messages and the model.
