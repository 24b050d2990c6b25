// SPDX-License-Identifier: GPL-2.0
//
// Scheduler: decides who runs next, and what time it is.
//
// At each scheduling point a seeded choice among the runnable fibers is made. Simulated time
// (microseconds) creeps with every switch and jumps to the next event when nobody can run. Fibers have random
// weights, so that some histories starve one of them for long. In some histories the CPU is now and then
// stolen from whoever runs, as a hypervisor does it: for long, and whatever locks are held.
#pragma once

#include <memory>
#include <queue>
#include <vector>
#include <world/fiber.hpp>

namespace sim
{

class Scheduler
{
public:
	Scheduler(u64 seed);
	~Scheduler();

	Fiber &spawn(const char *name, std::function<void()> body,
		     Context context = Context::Process);
	// Runs until the body of `main` has returned. False: nothing can ever run again, or the
	// history takes longer than it may; the reason is printed.
	void run(std::function<void()> main);

	u64 now() const { return now_; }
	u64 steps() const { return steps_; }
	Fiber &current() { return *current_; }
	bool inside() const { return current_ != nullptr; }
	const char *current_name() const { return current_ ? current_->name : "-"; }

	// Here another fiber may run.
	void point()
	{
		if (!current_)
			return;
		if (random_.permille(steal_permille_))
			steal();
		else if (random_.permille(switch_permille_))
			yield();
	}
	// For a case that needs long delays at any place.
	void steal_often() { steal_permille_ = 50; }
	void yield();
	// Sleeps until wake(); `why` is shown when nothing moves any more.
	void block(const char *why);
	// The same with a limit. Return: false if the time came first.
	bool block_for(const char *why, u64 microseconds);
	void wake(Fiber &fiber);
	void sleep(u64 microseconds);

	// Runs `body` at that time, as an interrupt or as a task.
	void after(u64 microseconds, const char *name, std::function<void()> body,
		   Context context = Context::Interrupt);

	// Fails the history if the calling fiber may not sleep here.
	void might_sleep(const char *what);
	// Every fiber that has not ended; for the rcu model and for the end of a history.
	const std::vector<std::unique_ptr<Fiber>> &fibers() const { return fibers_; }
	void describe_fibers();

private:
	struct Event {
		u64 time;
		u64 order;
		Fiber *fiber; // to be woken if its ticket is still the same, or
		u64 ticket;
		const char *name; // a new fiber
		Context context;
		std::function<void()> body;
	};
	struct Later {
		bool operator()(const Event &a, const Event &b) const
		{
			return a.time != b.time ? a.time > b.time : a.order > b.order;
		}
	};
	void fire_due();
	void reap();
	void steal();
	Fiber &choose();
	void stuck(const char *why);

	Random random_;
	u32 switch_permille_;
	u32 steal_permille_ = 0;
	bool skewed_;
	u64 now_ = 0;
	u64 steps_ = 0;
	u64 next_fiber_ = 0;
	u64 next_order_ = 0;
	u64 next_ticket_ = 1;
	Fiber *current_ = nullptr;
	std::vector<std::unique_ptr<Fiber>> fibers_;
	std::vector<std::unique_ptr<Fiber>> spare_;
	std::vector<Fiber *> runnable_;
	std::priority_queue<Event, std::vector<Event>, Later> events_;
};

// The scheduler of the history that runs.
Scheduler &scheduler();
void set_scheduler(Scheduler *scheduler);

} // namespace sim
