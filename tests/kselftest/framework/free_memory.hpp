// SPDX-License-Identifier: GPL-2.0
//
// How much of the machine's memory something takes while it runs.
#pragma once

#include <cstdint>
#include <functional>

namespace kselftest
{

// Runs `job` and samples free memory meanwhile. Return: the KiB that were less free at the worst
// moment than before. Caches count as free; programs beside us disturb it by some MiB.
std::uint64_t memory_taken_by(const std::function<void()> &job);

} // namespace kselftest
