// SPDX-License-Identifier: GPL-2.0
//
// What goes on at the same time. Each runs until its flag is set.
#pragma once

#include <atomic>
#include <machine/report.hpp>
#include <vector>

namespace threads
{

using Stop = std::atomic<bool>;

void run_writer(Stop &stop);
// Writes a new version to one origin, and, when that has ended, to the next.
void run_turns(Stop &stop);
// Takes snapshots of these origins, with storage on this disk.
void run_agent(Stop &stop, std::vector<u32> origins, u32 store);
// Takes snapshots of the partition and does not look at them.
void run_neighbour(Stop &stop);
// Asks whatever a program may ask.
void run_inquirer(Stop &stop);

} // namespace threads
