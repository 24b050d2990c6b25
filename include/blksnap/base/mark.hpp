// SPDX-License-Identifier: GPL-2.0
//
// COVERAGE_MARK("..."): a rare branch that the simulator's histories, all together, must have taken.
//
// In the simulator each mark counts; a run says which were not reached. Elsewhere it is nothing.
// Not in templates or headers: each mark is one object.
#pragma once

#ifdef BLKSNAP_COVERAGE_MARKS

namespace blksnap
{

struct CoverageMark {
	const char *name;
	unsigned long hits;
};

} // namespace blksnap

#define COVERAGE_MARK(text)                                                                        \
	do {                                                                                       \
		static constinit ::blksnap::CoverageMark mark                                      \
			__attribute__((section("coverage_marks"), used)) = {text, 0};              \
		mark.hits++;                                                                       \
	} while (0)

#else

#define COVERAGE_MARK(text)                                                                        \
	do {                                                                                       \
	} while (0)

#endif
