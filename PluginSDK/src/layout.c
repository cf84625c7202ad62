#include <billhook/billhook.h>
