"""人员参保登记: enrolling persons, the roster of them, and taking the sealed roster back."""
