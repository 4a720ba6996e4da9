/* The two layers that AttendThreadTest.cpp attends to: pages of f32, and a ring of i8 keys. Macros, since
 * plain-attention.c puts them into the text of its description. */
#ifndef GQA_TEST_UNIT_CACHE_ATTENDLAYERS_H
#define GQA_TEST_UNIT_CACHE_ATTENDLAYERS_H

#define KV_HEADS 2
#define GROUP 3
#define KEY_DIM 16
#define VALUE_DIM 24
#define PAGE_SIZE 4

#define SINKS 1
#define WINDOW 9
#define SLACK 3
#define RING_SLOTS 12 /* window + slack */

#endif
