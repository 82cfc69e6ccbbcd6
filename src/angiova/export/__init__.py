"""Results in the forms that people and clinics use."""
