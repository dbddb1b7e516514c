// Links the program with jemalloc, which then stands in for the C library's malloc, Swift's objects and arrays included.
#ifndef BAKARE_CJEMALLOC_H
#define BAKARE_CJEMALLOC_H
#endif
