// A library that a plugin needs and brings along.
int helper_answer(void) { return 42; }
