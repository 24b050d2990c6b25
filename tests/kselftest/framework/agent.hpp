// SPDX-License-Identifier: GPL-2.0
//
// Agent: a program that makes a backup up to one of its steps, and stays there until it is killed.
#pragma once

#include "arrival.hpp"
#include "disk.hpp"

namespace kselftest
{

// What a backup does, in its order: each of the twelve requests, append before the take and after it.
enum class Step {
	Open,
	Version,
	Create,
	WaitEvent,
	Append,
	Take,
	Collect,
	CollectImages,
	CollectTrackers,
	ReadMap,
	MarkDirty,
	AppendMore,
	OpenImage,
	Destroy,
	RemoveTracker,
};

inline constexpr Step kSteps[] = {
	Step::Open,	 Step::Version,	      Step::Create,
	Step::WaitEvent, Step::Append,	      Step::Take,
	Step::Collect,	 Step::CollectImages, Step::CollectTrackers,
	Step::ReadMap,	 Step::MarkDirty,     Step::AppendMore,
	Step::OpenImage, Step::Destroy,	      Step::RemoveTracker,
};

// What there is after a step.
inline bool has_snapshot(Step step)
{
	return step >= Step::Create && step < Step::Destroy;
}
inline bool has_image(Step step)
{
	return step >= Step::Take && step < Step::Destroy;
}
inline bool has_tracker(Step step)
{
	return step >= Step::Create && step < Step::RemoveTracker;
}

// The tracking block that is marked, as it is by default.
inline constexpr unsigned kMarkedBlock = 5;

// Kills a child. Return: whether it was gone in time.
bool dies(Child &child, double seconds = 10);

class Agent
{
public:
	// Comes back when it is there; it has the node open. Half of the store is appended, later the rest.
	Agent(Step last, const Disk &origin, const Disk &store);

	bool dies() { return kselftest::dies(child_); }

private:
	const Arrival arrival_;
	Child child_;
};

} // namespace kselftest
