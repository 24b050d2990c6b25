// SPDX-License-Identifier: GPL-2.0
//
// cut-order: takes snapshots of several devices again and again while a writer runs, and proves of
// each that it shows one instant.
//
//   cut-order [--cuts N] [--depth N] [--blocks N] [--seconds N] STORE DEVICE...
//
// The writer numbers its writes over all devices and notes when it submitted and when it saw each
// complete. A set of images then shows for each block one of its writes, and
//
//   - none older than the last that had completed when the take was called;
//   - none that was submitted after the take had returned;
//   - if it shows write B of one block, and B was submitted after write A of another block had
//     completed, it shows A or something newer there.
//
// The second reading must be equal to the first, although the writer has gone on. With --depth 1
// the devices are written in turn, and one block each: the pair of images must never show the
// later device ahead of the earlier one, which is checked in so many words.
#include "async_io.hpp"
#include "control.hpp"
#include "stamp.hpp"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace
{

constexpr std::uint64_t kSectorsPerBlock = kBlockBytes / kSectorBytes;
constexpr std::uint64_t kNever = ~std::uint64_t{0};
constexpr std::uint64_t kStoreSectors = 65536;

struct Write {
	std::uint64_t submitted = 0; // also its number, and what the block says
	std::uint64_t completed = kNever;
};

struct Options {
	unsigned cuts = 200;
	unsigned depth = 1;
	std::uint32_t blocks = 1;
	unsigned seconds = 600;
	std::string store;
	std::vector<std::string> devices;
};

struct Device {
	int fd = -1;
	blk_snap_dev number{};
};

// What one block has seen, in order of submission. At most one write to it is in flight.
using History = std::vector<Write>;

class Writer
{
public:
	Writer(const Options &options, const std::vector<Device> &devices)
		: options_(options), devices_(devices), histories_(devices.size() * options.blocks),
		  io_(options.depth, kBlockBytes)
	{
		fill();
	}

	void start()
	{
		thread_ = std::thread([this] { run(); });
	}
	void stop()
	{
		stopping_ = true;
		if (thread_.joinable())
			thread_.join();
	}

	std::uint64_t clock()
	{
		std::lock_guard guard(lock_);
		return clock_;
	}
	std::uint64_t written() const { return written_; }
	int error() const { return error_; }

	// Return: for each block the newest write that is known to be complete.
	std::vector<std::uint64_t> completed()
	{
		std::lock_guard guard(lock_);
		std::vector<std::uint64_t> values;
		for (const History &history : histories_) {
			auto write = history.rbegin();
			if (write->completed == kNever)
				++write;
			values.push_back(write->submitted);
		}
		return values;
	}
	std::vector<History> histories()
	{
		std::lock_guard guard(lock_);
		return histories_;
	}
	// Forgets what no later cut can show. Called while no snapshot is held.
	void forget()
	{
		std::lock_guard guard(lock_);
		for (History &history : histories_)
			if (history.size() > 2)
				history.erase(history.begin(), history.end() - 2);
	}

private:
	void fill()
	{
		for (std::size_t place = 0; place < histories_.size(); place++) {
			Request *request = io_.idle();
			while (!request) {
				reap();
				request = io_.idle();
			}
			begin(*request, place);
			submit(*request);
		}
		while (io_.in_flight())
			reap();
	}

	void begin(Request &request, std::size_t place)
	{
		const std::uint64_t block = place % options_.blocks;
		std::lock_guard guard(lock_);
		request.device = static_cast<std::uint32_t>(place);
		request.first_sector = block * kSectorsPerBlock;
		request.sectors = kSectorsPerBlock;
		request.value = ++clock_;
		histories_[place].push_back({request.value, kNever});
	}
	void submit(Request &request)
	{
		const std::size_t place = request.device;
		write_stamp(request.buffer, place, request.value);
		io_.submit(request, devices_[place / options_.blocks].fd, true);
	}
	void reap()
	{
		io_.reap([&](Request &request, int error) {
			std::lock_guard guard(lock_);
			histories_[request.device].back().completed = ++clock_;
			written_++;
			if (error)
				error_ = error;
		});
	}

	bool is_busy(std::size_t place)
	{
		std::lock_guard guard(lock_);
		return histories_[place].back().completed == kNever;
	}

	std::size_t next_place()
	{
		if (options_.depth > 1)
			return random_() % histories_.size();
		// A then B: the same block of each device in turn.
		const std::size_t device = turn_ % devices_.size();
		const std::size_t block = turn_ / devices_.size() % options_.blocks;
		turn_++;
		return device * options_.blocks + block;
	}

	void run()
	{
		while (!stopping_ && !error_) {
			Request *request = io_.idle();
			if (!request) {
				reap();
				continue;
			}
			const std::size_t place = next_place();
			if (is_busy(place)) {
				io_.put_back(request);
				reap();
				continue;
			}
			begin(*request, place);
			submit(*request);
		}
		while (io_.in_flight())
			reap();
	}

	const Options &options_;
	const std::vector<Device> &devices_;
	std::mutex lock_;
	std::vector<History> histories_;
	std::uint64_t clock_ = 0;
	AsyncIo io_;
	std::mt19937_64 random_{1};
	std::size_t turn_ = 0;
	std::atomic<bool> stopping_ = false;
	std::atomic<int> error_ = 0;
	std::atomic<std::uint64_t> written_ = 0;
	std::thread thread_;
};

class Cutter
{
public:
	explicit Cutter(const Options &options)
		: options_(options), store_(device_of(options.store))
	{
		for (const std::string &path : options.devices) {
			Device device;
			device.number = device_of(path);
			device.fd = open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
			if (device.fd < 0)
				fail_errno(path);
			devices_.push_back(device);
			numbers_.push_back(device.number);
		}
	}

	int run()
	{
		Writer writer(options_, devices_);
		const auto deadline = time(nullptr) + options_.seconds;
		unsigned done = 0;

		writer.start();
		while (done < options_.cuts && failures_ == 0 && time(nullptr) < deadline &&
		       !writer.error()) {
			cut(writer);
			done++;
		}
		writer.stop();
		if (writer.error())
			complain(std::string("a write failed: ") + std::strerror(writer.error()));
		if (done < options_.cuts && failures_ == 0)
			complain("only " + std::to_string(done) + " cuts in time");
		std::cout << "cuts=" << done << " writes=" << writer.written()
			  << " changed_while_held=" << changed_ << " failures=" << failures_
			  << std::endl;
		// If nothing was written between take and second reading, nothing was proved.
		return failures_ || changed_ == 0 ? 1 : 0;
	}

private:
	using Values = std::vector<std::uint64_t>;

	void complain(const std::string &what)
	{
		if (failures_++ < 10)
			std::cerr << "cut-order: " << what << "\n";
	}

	void cut(Writer &writer)
	{
		const blk_snap_uuid id = control_.create(numbers_);
		if (const int error = control_.try_append(id, store_, {{0, kStoreSectors}}))
			throw std::system_error(error, std::generic_category(), "append");

		const Values before = writer.completed();
		if (const int error = control_.try_take(id))
			throw std::system_error(error, std::generic_category(), "take");
		const std::uint64_t after = writer.clock();
		const std::uint64_t since = writer.written();

		const Values shown = read_images(id);
		verify(shown, before, after, writer.histories());
		// Whatever was in flight at the cut has landed then.
		const std::uint64_t enough = since + options_.depth + 2;
		for (int i = 0; i < 2000 && writer.written() < enough && !writer.error(); i++)
			poll(nullptr, 0, 5);
		changed_ += writer.written() >= enough;
		const Values again = read_images(id);
		compare(shown, again, after, writer.histories());
		if (const int error = control_.try_destroy(id))
			throw std::system_error(error, std::generic_category(), "destroy");
		writer.forget();
	}

	Values read_images(const blk_snap_uuid &id)
	{
		std::map<std::pair<__u32, __u32>, __u32> minors;
		for (const blk_snap_image_info &info : control_.images(id))
			minors[{info.orig_dev_id.mj, info.orig_dev_id.mn}] = info.image_dev_id.mn;
		Values values;
		for (std::size_t i = 0; i < devices_.size(); i++) {
			const auto found = minors.find({numbers_[i].mj, numbers_[i].mn});
			if (found == minors.end())
				throw std::runtime_error("no image of " + options_.devices[i]);
			read_image("/dev/blksnap-image" + std::to_string(found->second), i, values);
		}
		return values;
	}

	void read_image(const std::string &path, std::size_t device, Values &values)
	{
		const std::size_t bytes = options_.blocks * kBlockBytes;
		const std::unique_ptr<char, void (*)(void *)> buffer(
			static_cast<char *>(std::aligned_alloc(4096, bytes)), std::free);
		const int fd = open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
		if (fd < 0)
			fail_errno(path);
		const ssize_t got = pread(fd, buffer.get(), bytes, 0);
		const int error = errno;
		close(fd);
		if (got != static_cast<ssize_t>(bytes))
			throw std::system_error(got < 0 ? error : EIO, std::generic_category(),
						path);
		for (std::size_t i = 0; i < options_.blocks; i++) {
			const std::size_t place = device * options_.blocks + i;
			const auto value = read_stamp(buffer.get() + i * kBlockBytes, place);
			if (!value)
				complain(path + ": block " + std::to_string(i) + " is not whole");
			values.push_back(value.value_or(0));
		}
	}

	// Whatever differs was overwritten without a copy. When that write was submitted tells by whom.
	void compare(const Values &first, const Values &second, std::uint64_t after,
		     const std::vector<History> &histories)
	{
		for (std::size_t place = 0; place < first.size(); place++) {
			if (first[place] == second[place])
				continue;
			std::string what = "place " + std::to_string(place) +
					   ": the second reading shows write " +
					   std::to_string(second[place]) + ", the first " +
					   std::to_string(first[place]) +
					   "; the take returned at " + std::to_string(after);
			for (const Write &write : histories[place])
				what += "\n  submitted at " + std::to_string(write.submitted) +
					(write.completed == kNever
						 ? ", under way"
						 : ", completed at " +
							   std::to_string(write.completed));
			complain(what);
		}
	}

	void verify(const Values &shown, const Values &before, std::uint64_t after,
		    const std::vector<History> &histories)
	{
		const std::uint64_t newest = *std::max_element(shown.begin(), shown.end());

		for (std::size_t place = 0; place < shown.size(); place++) {
			const std::string name = "place " + std::to_string(place) + ": ";
			if (shown[place] < before[place])
				complain(name + "shows write " + std::to_string(shown[place]) +
					 ", but " + std::to_string(before[place]) +
					 " had completed before the take");
			if (shown[place] > after)
				complain(name + "shows write " + std::to_string(shown[place]) +
					 ", submitted after the take returned at " +
					 std::to_string(after));
			verify_order(place, shown[place], newest, histories[place]);
		}
		if (options_.depth == 1 && options_.blocks == 1)
			verify_pair(shown);
	}

	// The first write that is missing here must not have completed before another one that
	// is shown was submitted.
	void verify_order(std::size_t place, std::uint64_t shown, std::uint64_t newest,
			  const History &history)
	{
		const auto at =
			std::find_if(history.begin(), history.end(),
				     [&](const Write &write) { return write.submitted == shown; });
		if (at == history.end()) {
			complain("place " + std::to_string(place) + ": no write had the number " +
				 std::to_string(shown));
			return;
		}
		const auto missing = at + 1;
		if (missing != history.end() && missing->completed < newest)
			complain("place " + std::to_string(place) + ": write " +
				 std::to_string(missing->submitted) + " is missing, completed at " +
				 std::to_string(missing->completed) + ", but write " +
				 std::to_string(newest) + " is shown");
	}

	// In turn, one completed before the next is submitted: rounds never rise along the set.
	void verify_pair(const Values &shown)
	{
		for (std::size_t i = 1; i < shown.size(); i++)
			if (shown[i] > shown[i - 1] && shown[i] - shown[i - 1] > kClockTicksPerTurn)
				complain("device " + std::to_string(i) +
					 " is ahead: " + std::to_string(shown[i]) + " against " +
					 std::to_string(shown[i - 1]));
	}

	// The clock goes up at submission and at completion: B of the same round is 2 after A.
	static constexpr std::uint64_t kClockTicksPerTurn = 2;

	const Options &options_;
	Control control_;
	blk_snap_dev store_;
	std::vector<Device> devices_;
	std::vector<blk_snap_dev> numbers_;
	unsigned failures_ = 0;
	unsigned changed_ = 0;
};

Options parse(int count, char **words)
{
	Options options;
	std::vector<std::string> rest;
	for (int i = 1; i < count; i++) {
		const std::string word = words[i];
		if (!word.starts_with("--")) {
			rest.push_back(word);
			continue;
		}
		if (++i >= count)
			throw std::runtime_error(word + " needs a value");
		const auto value = static_cast<unsigned>(std::stoul(words[i]));
		if (word == "--cuts")
			options.cuts = value;
		else if (word == "--depth")
			options.depth = value;
		else if (word == "--blocks")
			options.blocks = value;
		else if (word == "--seconds")
			options.seconds = value;
		else
			throw std::runtime_error("unknown option " + word);
	}
	if (rest.size() < 2)
		throw std::runtime_error("usage: cut-order [options] STORE DEVICE...");
	options.store = rest[0];
	options.devices.assign(rest.begin() + 1, rest.end());
	return options;
}

} // namespace

int main(int count, char **words)
{
	try {
		const Options options = parse(count, words);
		return Cutter(options).run();
	} catch (const std::exception &error) {
		std::cerr << "cut-order: " << error.what() << "\n";
		return 1;
	}
}
