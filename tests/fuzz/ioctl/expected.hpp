// SPDX-License-Identifier: GPL-2.0
//
// Expected: what a request must do, read from the documentation of the interface by numbers of bytes: no
// structure of the headers is used here.
#pragma once

#include "script.hpp"
#include "user_memory.hpp"

namespace fuzz
{

struct Request {
	u32 command;
	u64 argument;
	bool compat;
	bool admin;
};

struct Expected {
	struct Write {
		u64 address;
		std::vector<u8> bytes;
	};

	long result = 0;
	std::vector<Call> calls;
	std::vector<Write> writes; // in order
	u64 unknown_from = 0;	   // bytes of a write that nobody can foresee: a time
	u64 unknown_to = 0;
	bool arrays_overlap = false; // what is read lies in what was read: twice is right then
};

// If all memory is there, and enough of it.
Expected expect(const Request &request, const Script &script, const UserMemory &memory);

} // namespace fuzz
