// SPDX-License-Identifier: GPL-2.0
//
// History: one run of the machine: plan, tasks, end, oracles.
#pragma once

#include <functional>
#include <memory>
#include <oracle/image_model.hpp>
#include <script/plan.hpp>
#include <vector>

namespace sim
{

// Tasks that are waited for together.
class TaskGroup
{
public:
	void spawn(const char *name, std::function<void()> body);
	void join();
	bool empty() const { return running_ == 0; }

private:
	u32 running_ = 0;
	Fiber *joiner_ = nullptr;
};

struct History {
	Plan plan;
	TaskGroup writers;
	TaskGroup agents;
	TaskGroup others; // image users, event waiters, trouble makers
	std::vector<std::unique_ptr<SnapshotModel>> snapshots;
	bool stopping = false; // trouble makers end
};

struct Case;

// What is done with a seed, besides what follows from it.
struct Variant {
	const Case *test = nullptr;  // this script instead of a drawn one
	bool plain = false;	     // without the swarm's operations
	u64 failing_allocation = 0;  // the Nth one fails, no other does
	u64 failing_user_access = 0; // likewise
};

struct Statistics {
	u64 steps = 0;
	u64 writes = 0;
	u64 takes = 0;
	u64 corrupted = 0;
	bool fault_fired = false; // the failing one of the variant was met
};

Statistics run_history(u64 seed, const Variant &variant);

// Tasks
void run_writer(History &history);
void run_agent(History &history);
void run_image_user(History &history, SnapshotModel &snapshot);
void run_event_waiter(History &history, SnapshotModel &snapshot);
void run_trouble(History &history);

} // namespace sim
