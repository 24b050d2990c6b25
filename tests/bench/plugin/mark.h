// SPDX-License-Identifier: GPL-2.0
//
// How a program in a guest tells count.c when to begin and to end: by executing an instruction that does
// nothing, and that no compiler makes: nopl OPERAND(%rax,%rax,1).
#pragma once

#define MARK_BEGIN 0x626b7301
#define MARK_END 0x626b7302
#define MARK_BYTES 0x0f, 0x1f, 0x84, 0x00 // What comes before the operand.
