// System calls and constants that Swift's Glibc overlay does not import.
#ifndef BAKARE_CLINUX_H
#define BAKARE_CLINUX_H
#include <sys/types.h>
#endif
