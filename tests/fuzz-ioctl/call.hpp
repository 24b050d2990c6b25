// SPDX-License-Identifier: GPL-2.0
//
// One call: what is asked, in which world, with an argument at which address.
#pragma once

#include "arena.hpp"
#include "random.hpp"
#include "request.hpp"
#include "world.hpp"

struct Call {
	unsigned request = kRequests; // kRequests: none that is known
	Abi abi = Abi::Native;
	std::uint32_t command = 0;
	std::uint64_t argument = 0;
	Span argument_span{}, array_span{}; // What was put into the arena for it.
	unsigned largest_number = 255;	    // That a byte of the change map may have.

	const Layout &layout() const { return layout_of(request, abi); }
};

// How likely a request is; heavy ones are rare, or the threads would wait for one another.
using Weights = unsigned[kRequests];

Call make_call(Random &random, const World &world, Arena &arena, const Weights &weights);

// Return: what the kernel does: a number from 0, or a negative errno.
int perform(int control, const Call &call);

// Where the kernel may have written.
struct Answer {
	Span argument, array;
};
Answer answer_of(const Call &call, int result, const Arena &arena);

// Return: nullptr, or what is wrong with the answer; `where` is an offset into the arena.
const char *judge(const Call &call, int result, const World &world, const Arena &arena,
		  std::size_t &where);
