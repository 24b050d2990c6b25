// SPDX-License-Identifier: GPL-2.0
//
// Campaign: many histories on several processes. Each worker takes every Nth item; a failure ends its
// process, and the next worker goes on behind the failed item.
#pragma once

#include <ctime>
#include <script/history.hpp>
#include <string>
#include <sys/types.h>
#include <vector>

namespace sim
{

enum class Sweep { None, Allocations, UserAccesses };

struct Options {
	const char *program = "sim";
	u64 first = 1;
	u64 histories = 1;
	u32 jobs = 1;
	u32 most_failures = 5;
	bool single = false;
	bool verbose = false;
	bool plain = false;
	bool cases = false; // and nothing else
	u64 with_cases = 0; // so many of each, too
	bool require_marks = false;
	Sweep sweep = Sweep::None; // each seed with N = 1, 2, ... until no fault is met
	Variant variant;	   // of a single history
	const char *seeds = nullptr;
};

struct Item {
	u64 seed;
	const Case *test;
};

// The command that runs it again.
std::string replay_of(const Options &options, u64 seed, const Variant &variant);

class Campaign
{
public:
	Campaign(const Options &options, std::vector<Item> items);
	// Return: exit status.
	int run();

private:
	// Shared with the workers.
	struct Progress {
		volatile u64 item; // at work
		volatile u64 nth;  // of a sweep
		volatile u64 done;
		volatile u64 steps, writes, takes, corrupted;
	};
	struct Worker {
		pid_t pid = 0;
		u64 next = 0;
		Progress *progress = nullptr;
		unsigned long *mark_hits = nullptr;
	};

	void start(Worker &worker);
	void work(Worker &worker);
	void run_item(Worker &worker, const Item &item);
	Statistics run_one(Worker &worker, const Item &item, const Variant &variant);
	bool ended(Worker &worker, int status);
	void show(bool last);
	// Return: whether every mark was hit.
	bool show_marks() const;
	double seconds() const;

	const Options &options_;
	std::vector<Item> items_;
	std::vector<Worker> workers_;
	u64 failed_ = 0;
	timespec begin_{};
	double shown_ = 0;
};

} // namespace sim
