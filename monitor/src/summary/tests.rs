//! Whole summaries of made-up readings: every quantity, the verdict, and what a resumed run makes of them.
