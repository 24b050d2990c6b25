// SPDX-License-Identifier: GPL-2.0
//
// fuzz-ioctl: all requests of /dev/blksnap, from programs of 64 and of 32 bits, with any arguments, from
// several threads, while snapshots come and go and their devices are written to.
//
//   fuzz-ioctl --origin DEVICE... --store DEVICE... --keep DEVICE [--seed N] [--threads N]
//              [--seconds N] [--calls N] [--patience SECONDS]
//
// What a thread asks for follows from the seed; what it gets does not. Ends after so many seconds, or up to
// ten times as many until each request has succeeded in both worlds, or after so many calls, with the numbers of
// calls and answers. The device to keep has a tracker all the time, so that the hook need not be put in and taken
// out for each of the others. The status is 1 if an answer was wrong, if a request never succeeded, if a thread
// hung, or if something cannot be ended.
#include "call.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace
{

using Clock = std::chrono::steady_clock;

struct Options {
	std::vector<std::string> origins, stores, kept;
	std::uint64_t seed = 1, calls = ~std::uint64_t{0};
	unsigned threads = 5, seconds = 30, patience = 120;
};

// One thread makes and ends snapshots, the others ask. What waits for grace periods, or with the control's mutex
// held, takes a thousand times as long as the rest: of that the storm has little. And it destroys less than is
// created, however fast it is, or most requests would meet no snapshot.
constexpr Weights kLife = {1, 1, 1, 1, 2, 12, 4, 16, 12, 1, 1, 1};
constexpr Weights kStorm = {1600, 8, 6400, 6400, 3200, 8, 1, 160, 8, 6400, 6400, 800};

std::atomic<bool> stop = false;
std::atomic<unsigned> wrong_answers = 0;
std::atomic<std::uint64_t> all_calls = 0;

// A bit for each request of each world that succeeded.
std::atomic<std::uint32_t> succeeded = 0;
constexpr std::uint32_t kAllSucceeded = (1u << kRequests * kAbis) - 1;

void note_result(const Call &call, int result)
{
	if (call.request < kRequests && result >= 0)
		succeeded |= 1u << (call.request * kAbis + static_cast<unsigned>(call.abi));
}

struct Thread {
	std::thread thread;
	std::atomic<int> task = 0;
	std::atomic<std::uint64_t> calls = 0;
	std::atomic<bool> ended = false;
	std::map<int, std::uint64_t> results[kRequests + 1][kAbis]; // 0: success
	std::chrono::duration<double> spent[kRequests + 1]{};
};

void complain(unsigned thread, std::uint64_t number, const Call &call, int result,
	      const char *wrong, std::size_t where, const Arena &arena)
{
	if (++wrong_answers > 10)
		return;
	std::printf(
		"wrong: thread %u, call %llu: %s (%08x), %s, argument at %llx, result %d: %s, at %zx\n",
		thread, static_cast<unsigned long long>(number), name_of(call.request),
		call.command, call.abi == Abi::Native ? "native" : "compat",
		static_cast<unsigned long long>(call.argument), result, wrong, where);
	const std::size_t from = std::min(where, Arena::kBytes - 64);
	std::printf("wrong: there:");
	for (std::size_t i = from; i < from + 64; i++)
		std::printf(" %02x", *arena.at(i));
	std::printf("\nwrong: array in the arena from %llx\n",
		    static_cast<unsigned long long>(arena.address(0)));
	std::fflush(stdout);
}

// Whoever made it: also what a thread created that could not see the answer.
void learn_listed(World &world, const Answer &answer, const Arena &arena)
{
	for (std::size_t at = answer.array.begin; at + sizeof(blk_snap_uuid) <= answer.array.end;
	     at += sizeof(blk_snap_uuid)) {
		blk_snap_uuid id;
		memcpy(&id, arena.at(at), sizeof(id));
		if (memcmp(&id, &world.kept_id, sizeof(id)))
			world.learn(id);
	}
}

void learn(World &world, const Call &call, int result, const Arena &arena)
{
	blk_snap_uuid id;
	const std::size_t offset = arena.offset_of(call.argument);

	if (call.request != kCreate || result || offset == Arena::kBytes)
		return;
	memcpy(&id, arena.at(offset) + call.layout().id, sizeof(id));
	world.learn(id);
}

// The label of a device's change map.
struct Label {
	blk_snap_uuid generation{};
	unsigned number = 255;
	bool operator==(const Label &other) const
	{
		return !memcmp(&generation, &other.generation, sizeof(generation));
	}
};

Label label_of(int control, const blk_snap_dev &device)
{
	blk_snap_cbt_info infos[16];
	blk_snap_tracker_collect trackers{16, infos};

	if (ioctl(control, IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers))
		return {};
	for (unsigned i = 0; i < trackers.count; i++)
		if (infos[i].dev_id.mj == device.mj && infos[i].dev_id.mn == device.mn)
			return {infos[i].generation_id, infos[i].snap_number};
	return {};
}

// A map that is read says which numbers it may have: in one generation they only rise.
int perform_labelled(int control, Call &call, const Arena &arena)
{
	const std::size_t offset = arena.offset_of(call.argument);

	if (call.request != kReadCbtMap || offset + call.layout().bytes > Arena::kBytes)
		return perform(control, call);
	blk_snap_dev device;
	memcpy(&device, arena.given(offset) + call.layout().device, sizeof(device));
	const Label before = label_of(control, device);
	const int result = perform(control, call);
	if (result <= 0)
		return result;
	const Label after = label_of(control, device);
	if (before == after)
		call.largest_number = after.number;
	return result;
}

void ask(unsigned number, const Options &options, World &world, int control, Thread &self)
{
	Random random(options.seed * 1000 + number);
	Arena arena;

	self.task = gettid();
	while (!stop) {
		Call call = make_call(random, world, arena, number ? kStorm : kLife);
		const auto begin = Clock::now();
		// Three calls for one: now and then.
		const int result = self.calls % 4 ? perform(control, call)
						  : perform_labelled(control, call, arena);
		const auto took = Clock::now() - begin;
		self.spent[call.request] += took;
		note_result(call, result);
		std::size_t where = 0;
		if (const char *wrong = judge(call, result, world, arena, where))
			complain(number, self.calls, call, result, wrong, where, arena);
		learn(world, call, result, arena);
		const Answer answer = answer_of(call, result, arena);
		if (call.request == kCollect && result == 0)
			learn_listed(world, answer, arena);
		arena.forget(answer.argument, answer.array);
		arena.forget(call.argument_span, call.array_span);
		self.results[call.request][static_cast<unsigned>(call.abi)][std::min(result, 0)]++;
		self.calls++;
		if (++all_calls >= options.calls)
			stop = true;
		if (!number) // A take and a destroy keep all others waiting, longer on a slow kernel.
			std::this_thread::sleep_for(std::chrono::milliseconds(random.below(40)) +
						    2 * took);
	}
	self.ended = true;
}

// Changes a byte of memory, many times in a row, from when it is aimed at something until it is aimed at
// nothing, or soon.
class Changer
{
public:
	Changer(Arena &arena, std::uint64_t seed)
		: arena_(arena), random_(seed), thread_([this] { run(); })
	{
	}
	~Changer()
	{
		{
			const std::lock_guard lock(mutex_);
			ended_ = true;
		}
		aimed_.notify_one();
		thread_.join();
	}
	Changer(const Changer &) = delete;
	Changer &operator=(const Changer &) = delete;

	void aim(std::size_t at)
	{
		{
			const std::lock_guard lock(
				mutex_); // A late change would hit the next argument.
			target_ = at;
			left_ = kBurst;
		}
		if (at < Arena::kBytes)
			aimed_.notify_one();
	}

private:
	static constexpr unsigned kBurst = 100;

	void run()
	{
		std::unique_lock lock(mutex_);
		while (!ended_) {
			if (target_ >= Arena::kBytes || !left_) {
				aimed_.wait(lock);
				continue;
			}
			left_--;
			*arena_.racy(target_) = static_cast<unsigned char>(random_.next());
			lock.unlock();
			for (std::uint64_t pause = random_.below(64); pause; pause--)
				asm volatile("");
			lock.lock();
		}
	}

	Arena &arena_;
	Random random_;
	std::mutex mutex_;
	std::condition_variable aimed_;
	std::size_t target_ = Arena::kBytes;
	unsigned left_ = 0;
	bool ended_ = false;
	std::thread thread_; // The last: it uses the others.
};

// Asks while somebody else changes the argument: what is fetched twice may differ.
void ask_unsteadily(const Options &options, World &world, int control, Thread &self)
{
	Random random(options.seed * 1000 + 500);
	Arena arena;
	Changer changer(arena, options.seed * 1000 + 501);

	self.task = gettid();
	while (!stop) {
		const Call call = make_call(random, world, arena, kStorm);
		if (call.request == kRequests)
			continue;
		// Any byte but those of an address, which would let the kernel write anywhere in here.
		std::size_t byte = random.below(call.layout().bytes);
		const auto pointer = static_cast<std::size_t>(call.layout().pointer);
		if (call.layout().pointer != kAbsent && byte >= pointer && byte < pointer + 8)
			byte = 0;
		changer.aim(std::min(arena.offset_of(call.argument) + byte, Arena::kBytes));
		const int result = perform(control, call);
		changer.aim(Arena::kBytes);
		self.results[call.request][static_cast<unsigned>(call.abi)][std::min(result, 0)]++;
		self.calls++;
		if (++all_calls >= options.calls)
			stop = true;
	}
	self.ended = true;
}

// The origins, open all the time: whenever one that was open for writing is closed, udev looks at it.
class OpenOrigins
{
public:
	explicit OpenOrigins(const std::vector<Device> &devices)
	{
		for (const Device &device : devices)
			fds_.push_back(open(device.path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
	}
	~OpenOrigins()
	{
		for (const int fd : fds_)
			close(fd);
	}
	OpenOrigins(const OpenOrigins &) = delete;
	OpenOrigins &operator=(const OpenOrigins &) = delete;

	int fd(std::size_t number) const { return fds_[number]; }

private:
	std::vector<int> fds_;
};

// Blocks change, so that there is something to copy and storage runs low; images are read.
void write_and_read(const Options &options, const World &world, Thread &self)
{
	Random random(options.seed * 1000 + 600);
	alignas(4096) static unsigned char block[4096];
	const OpenOrigins origins(world.origins);

	self.task = gettid();
	while (!stop) {
		const std::size_t number = random.below(world.origins.size());
		const std::uint64_t blocks = world.origins[number].sectors / 8;
		for (int i = 0; i < 8; i++)
			(void)!pwrite(origins.fd(number), block, sizeof(block),
				      static_cast<off_t>(random.below(blocks) * 4096));
		const std::string image = "/dev/blksnap-image" + std::to_string(random.below(8));
		const int read_fd = open(image.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
		if (read_fd >= 0) {
			(void)!pread(read_fd, block, sizeof(block), 0);
			close(read_fd);
		}
		self.calls++;
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
	}
	self.ended = true;
}

// Return: whether all threads went on lately, or are at their end.
bool all_alive(std::vector<Thread> &threads, const Options &options)
{
	static std::map<int, std::pair<std::uint64_t, Clock::time_point>> seen;

	for (Thread &thread : threads) {
		auto &[calls, since] = seen[thread.task];
		if (thread.calls != calls || thread.ended || since == Clock::time_point{}) {
			calls = thread.calls;
			since = Clock::now();
		} else if (Clock::now() - since > std::chrono::seconds(options.patience)) {
			std::printf("wrong: task %d hangs:\n", thread.task.load());
			std::ifstream stack("/proc/self/task/" + std::to_string(thread.task) +
					    "/stack");
			for (std::string line; std::getline(stack, line);)
				std::printf("wrong: %s\n", line.c_str());
			return false;
		}
	}
	return true;
}

// A signal now and then; all the time when they are to end.
void interrupt(std::vector<Thread> &threads, Random &random)
{
	for (Thread &thread : threads)
		if (!thread.ended && (stop || random.one_in(static_cast<unsigned>(threads.size()))))
			pthread_kill(thread.thread.native_handle(), SIGUSR1);
}

// Once a minute.
void tell_progress()
{
	static auto told = Clock::now();

	if (Clock::now() - told < std::chrono::minutes(1))
		return;
	told = Clock::now();
	std::printf("so far: %llu calls\n", static_cast<unsigned long long>(all_calls));
	std::fflush(stdout);
}

bool run(const Options &options, World &world, int control, std::vector<Thread> &threads)
{
	Random random(options.seed);
	const auto end = Clock::now() + std::chrono::seconds(options.seconds);
	const auto last_end = end + std::chrono::seconds(options.seconds) * 9;
	const auto ended = [](const Thread &thread) { return thread.ended.load(); };

	for (unsigned i = 0; i < options.threads; i++)
		threads[i].thread =
			std::thread([&, i] { ask(i, options, world, control, threads[i]); });
	Thread &unsteady = threads[options.threads], &writer = threads[options.threads + 1];
	unsteady.thread = std::thread([&] { ask_unsteadily(options, world, control, unsteady); });
	writer.thread = std::thread([&] { write_and_read(options, world, writer); });
	while (!std::all_of(threads.begin(), threads.end(), ended)) {
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		if (Clock::now() >= end && (succeeded == kAllSucceeded || Clock::now() >= last_end))
			stop = true;
		interrupt(threads, random);
		tell_progress();
		if (!all_alive(threads, options))
			return false;
	}
	for (Thread &thread : threads)
		thread.thread.join();
	return true;
}

// Everything can be ended, whatever was done to it.
bool end_all(int control)
{
	blk_snap_uuid ids[64];
	blk_snap_cbt_info infos[64];
	blk_snap_snapshot_collect snapshots{64, ids};
	blk_snap_tracker_collect trackers{64, infos};

	if (ioctl(control, IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &snapshots))
		return false;
	for (unsigned i = 0; i < snapshots.count; i++)
		if (ioctl(control, IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, &ids[i]))
			return false;
	if (ioctl(control, IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers))
		return false;
	for (unsigned i = 0; i < trackers.count; i++)
		if (ioctl(control, IOCTL_BLK_SNAP_TRACKER_REMOVE, &infos[i].dev_id))
			return false;
	snapshots.ids = nullptr;
	return ioctl(control, IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &snapshots) == 0 && !snapshots.count;
}

// Return: whether each request succeeded at least once: else nothing behind its checks was tried.
bool report(const std::vector<Thread> &threads, double seconds)
{
	bool all_succeeded = true;
	std::uint64_t calls = 0;

	for (unsigned request = 0; request <= kRequests; request++) {
		std::chrono::duration<double> spent{};
		for (const Thread &thread : threads)
			spent += thread.spent[request];
		std::printf("%s: %.1f s in all threads\n", name_of(request), spent.count());
		for (unsigned abi = 0; abi < kAbis; abi++) {
			std::map<int, std::uint64_t> sum;
			for (const Thread &thread : threads)
				for (const auto &[result, count] : thread.results[request][abi])
					sum[result] += count;
			std::printf("%s, %s:", name_of(request), abi ? "compat" : "native");
			for (const auto &[result, count] : sum) {
				std::printf(" %s %llu", result ? strerrorname_np(-result) : "ok",
					    static_cast<unsigned long long>(count));
				calls += count;
			}
			std::printf("\n");
			if (request < kRequests && !sum.contains(0)) {
				std::printf("wrong: it never succeeded\n");
				all_succeeded = false;
			}
		}
	}
	std::printf("fuzz-ioctl: %llu calls in %.1f s, %.0f a second\n",
		    static_cast<unsigned long long>(calls), seconds,
		    static_cast<double>(calls) / seconds);
	return all_succeeded;
}

Options parse(int argc, char **argv)
{
	Options options;

	for (int i = 1; i + 1 < argc; i += 2) {
		const std::string name = argv[i];
		const char *value = argv[i + 1];
		if (name == "--origin")
			options.origins.emplace_back(value);
		else if (name == "--store")
			options.stores.emplace_back(value);
		else if (name == "--keep")
			options.kept.emplace_back(value);
		else if (name == "--seed")
			options.seed = std::strtoull(value, nullptr, 0);
		else if (name == "--calls")
			options.calls = std::strtoull(value, nullptr, 0);
		else if (name == "--threads")
			options.threads = static_cast<unsigned>(std::strtoul(value, nullptr, 0));
		else if (name == "--seconds")
			options.seconds = static_cast<unsigned>(std::strtoul(value, nullptr, 0));
		else if (name == "--patience")
			options.patience = static_cast<unsigned>(std::strtoul(value, nullptr, 0));
		else
			argc = 0;
	}
	if (argc % 2 == 0 || options.origins.empty() || options.stores.empty() ||
	    options.kept.empty() || !options.threads) {
		std::fprintf(
			stderr,
			"usage: fuzz-ioctl --origin DEVICE... --store DEVICE... --keep DEVICE [--seed N]"
			" [--threads N] [--seconds N] [--calls N] [--patience SECONDS]\n");
		std::exit(2);
	}
	return options;
}

std::uint32_t image_major()
{
	std::ifstream devices("/proc/devices");
	std::string number, name;

	while (devices >> number >> name)
		if (name == "blksnap-image")
			return static_cast<std::uint32_t>(std::stoul(number));
	throw std::runtime_error("no images in /proc/devices");
}

// A snapshot that is never taken: nobody can remove its tracker.
void keep(World &world, const Device &device, int control)
{
	blk_snap_dev number = device.number;
	blk_snap_snapshot_create argument{1, &number, {}};

	world.kept.push_back(device);
	if (ioctl(control, IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument))
		throw std::system_error(errno, std::generic_category(), device.path);
	world.kept_id = argument.id;
}

int fuzz(const Options &options)
{
	World world;
	struct sigaction action {
	};
	const int control = open("/dev/blksnap", O_RDWR | O_CLOEXEC);

	if (control < 0)
		throw std::system_error(errno, std::generic_category(), "/dev/blksnap");
	for (const std::string &path : options.origins)
		world.origins.push_back(World::open_device(path));
	for (const std::string &path : options.stores)
		world.stores.push_back(World::open_device(path));
	for (const std::string &path : options.kept)
		keep(world, World::open_device(path), control);
	world.image_major = image_major();
	action.sa_handler = [](int) {};
	sigaction(SIGUSR1, &action, nullptr);

	std::vector<Thread> threads(options.threads + 2);
	std::printf("fuzz-ioctl: seed %llu\n", static_cast<unsigned long long>(options.seed));
	const auto begin = Clock::now();
	const bool alive = run(options, world, control, threads);
	if (!alive) { // The others end, so that their numbers can be told.
		stop = true;
		std::this_thread::sleep_for(std::chrono::seconds(2));
	}
	const std::chrono::duration<double> seconds = Clock::now() - begin;
	const bool complete = report(threads, seconds.count());
	std::fflush(stdout);
	if (!alive)
		_exit(1); // Its threads cannot be joined.
	if (!end_all(control)) {
		std::printf("wrong: something cannot be ended: %s\n", strerrorname_np(errno));
		return 1;
	}
	return complete && !wrong_answers ? 0 : 1;
}

} // namespace

int main(int argc, char **argv)
{
	try {
		return fuzz(parse(argc, argv));
	} catch (const std::exception &error) {
		std::fprintf(stderr, "fuzz-ioctl: %s\n", error.what());
		return 1;
	}
}
