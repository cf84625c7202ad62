#ifndef BILLHOOK_H
#define BILLHOOK_H
#include <stdint.h>
#endif
