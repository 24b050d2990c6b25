// SPDX-License-Identifier: GPL-2.0
//
// bench-mark begin|end: where counting of instructions begins and ends (see count.c).
#include <stdio.h>
#include <string.h>
#include "mark.h"

#define TEXT(...) #__VA_ARGS__
#define TEXT_OF(...) TEXT(__VA_ARGS__)
#define EXECUTE(operand)                                                                           \
	__asm__ volatile(".byte " TEXT_OF(MARK_BYTES) "\n\t.long " TEXT_OF(operand)::: "memory")

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "begin") == 0) {
		EXECUTE(MARK_BEGIN);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "end") == 0) {
		EXECUTE(MARK_END);
		return 0;
	}
	fprintf(stderr, "usage: bench-mark begin|end\n");
	return 2;
}
