// SPDX-License-Identifier: GPL-2.0
//
// Scheduler: see the header. The run queue is a vector in a fixed order of events, never of
// addresses: one seed gives one order.
#include <world/scheduler.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <world/report.hpp>

namespace sim
{

namespace
{
constexpr u64 kStepLimit = 4'000'000;
constexpr u64 kTimeLimit = 900'000'000; // 15 minutes of simulated time
Scheduler *instance;
} // namespace

Scheduler &scheduler()
{
	return *instance;
}

void set_scheduler(Scheduler *scheduler)
{
	instance = scheduler;
}

Scheduler::Scheduler(u64 seed) : random_(seed ^ 0x5c4ed01e)
{
	static constexpr u32 kRates[] = {20, 60, 150, 300, 600};
	switch_permille_ = random_.pick(kRates);
	skewed_ = random_.one_in(2);
	if (random_.one_in(4))
		steal_permille_ = static_cast<u32>(random_.between(1, 4));
}

Scheduler::~Scheduler()
{
	for (auto &fiber : fibers_)
		fiber_release(*fiber);
}

Fiber &Scheduler::spawn(const char *name, std::function<void()> body, Context context)
{
	static constexpr u32 kWeights[] = {1, 1, 2, 8, 64};
	std::unique_ptr<Fiber> fiber;
	if (!spare_.empty()) {
		fiber = std::move(spare_.back());
		spare_.pop_back();
		std::vector<HeldLock> held = std::move(fiber->held);
		*fiber = Fiber{};
		fiber->held = std::move(held);
	} else {
		fiber = std::make_unique<Fiber>();
	}
	fiber->id = next_fiber_++;
	fiber->name = name;
	fiber->body = std::move(body);
	fiber->context = context;
	fiber->weight = skewed_ ? random_.pick(kWeights) : 1;
	fiber_start(*fiber);
	runnable_.push_back(fiber.get());
	fibers_.push_back(std::move(fiber));
	return *fibers_.back();
}

void Scheduler::run(std::function<void()> main)
{
	Fiber &first = spawn("main", std::move(main));
	bool ended = false;
	while (!ended) {
		if (++steps_ > kStepLimit)
			stuck("too many steps");
		now_++;
		fire_due();
		if (runnable_.empty()) {
			if (events_.empty())
				stuck("nothing can run any more");
			now_ = events_.top().time;
			if (now_ > kTimeLimit)
				stuck("too much simulated time");
			continue;
		}
		Fiber &fiber = choose();
		current_ = &fiber;
		fiber_resume(fiber);
		current_ = nullptr;
		if (fiber.run == Run::Done) {
			ended = &fiber == &first;
			reap();
		}
	}
}

// The one that ended is the last in nobody's list: it was current.
void Scheduler::reap()
{
	for (auto at = fibers_.begin(); at != fibers_.end(); ++at) {
		if ((*at)->run != Run::Done)
			continue;
		Fiber &fiber = **at;
		if (!fiber.held.empty() || fiber.rcu_depth || fiber.noio_depth)
			fail("context", "fiber %s ended with a lock or read section open",
			     fiber.name);
		runnable_.erase(std::find(runnable_.begin(), runnable_.end(), &fiber));
		fiber_release(fiber);
		spare_.push_back(std::move(*at));
		fibers_.erase(at);
		return;
	}
}

void Scheduler::fire_due()
{
	while (!events_.empty() && events_.top().time <= now_) {
		Event event = std::move(const_cast<Event &>(events_.top()));
		events_.pop();
		if (event.body) {
			spawn(event.name, std::move(event.body), event.context);
		} else if (event.fiber->wait_ticket == event.ticket &&
			   event.fiber->run == Run::Blocked) {
			event.fiber->timed_out = true;
			wake(*event.fiber);
		}
	}
}

Fiber &Scheduler::choose()
{
	if (!skewed_)
		return *runnable_[random_.below(runnable_.size())];
	u64 total = 0;
	for (const Fiber *fiber : runnable_)
		total += fiber->weight;
	u64 ticket = random_.below(total);
	for (Fiber *fiber : runnable_) {
		if (ticket < fiber->weight)
			return *fiber;
		ticket -= fiber->weight;
	}
	__builtin_unreachable();
}

void Scheduler::yield()
{
	fiber_suspend(*current_);
}

void Scheduler::steal()
{
	const u64 until = now_ + random_.below(3000);
	while (now_ < until)
		block_for("its CPU, which was stolen", until - now_);
}

void Scheduler::block(const char *why)
{
	Fiber &self = *current_;
	self.run = Run::Blocked;
	self.waits_for = why;
	self.timed_out = false;
	runnable_.erase(std::find(runnable_.begin(), runnable_.end(), &self));
	fiber_suspend(self);
	self.waits_for = "";
}

bool Scheduler::block_for(const char *why, u64 microseconds)
{
	Fiber &self = *current_;
	self.wait_ticket = next_ticket_++;
	events_.push({now_ + microseconds,
		      next_order_++,
		      &self,
		      self.wait_ticket,
		      nullptr,
		      Context::Process,
		      {}});
	block(why);
	self.wait_ticket = 0;
	return !self.timed_out;
}

void Scheduler::wake(Fiber &fiber)
{
	if (fiber.run != Run::Blocked)
		return;
	fiber.run = Run::Runnable;
	runnable_.push_back(&fiber);
}

void Scheduler::sleep(u64 microseconds)
{
	block_for("sleep", microseconds);
}

void Scheduler::after(u64 microseconds, const char *name, std::function<void()> body,
		      Context context)
{
	events_.push(
		{now_ + microseconds, next_order_++, nullptr, 0, name, context, std::move(body)});
}

void Scheduler::might_sleep(const char *what)
{
	if (current_ && current_->atomic())
		fail("context", "%s may sleep, but the caller is atomic", what);
}

void Scheduler::describe_fibers()
{
	for (const auto &fiber : fibers_)
		std::fprintf(stderr, "  fiber %llu %s: %s %s\n",
			     static_cast<unsigned long long>(fiber->id), fiber->name,
			     fiber->run == Run::Blocked ? "waits for" : "runs", fiber->waits_for);
}

void Scheduler::stuck(const char *why)
{
	describe_fibers();
	fail("progress", "%s", why);
}

} // namespace sim
