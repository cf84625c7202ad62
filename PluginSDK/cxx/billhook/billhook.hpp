// Billhook's plugin ABI for C++17: the same contract as billhook.h, with views instead of pointers,
// exceptions instead of status codes, and a declaration instead of tables.
//
// No exception crosses the ABI: every C function of this wrapper catches what the plugin throws and
// hands the host a status and a sentence. A plugin is a class with a constructor from
// billhook::values and the functions of its hook (plugin.hpp); the library is one BILLHOOK_MODULE.
#ifndef BILLHOOK_BILLHOOK_HPP
#define BILLHOOK_BILLHOOK_HPP

#include "billhook/call.hpp"
#include "billhook/parameter.hpp"
#include "billhook/plugin.hpp"

#endif
