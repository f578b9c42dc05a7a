"""Objects followed through sequences with ground truth, as DAVIS measures them."""
