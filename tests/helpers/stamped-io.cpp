// SPDX-License-Identifier: GPL-2.0
//
// stamped-io: writes blocks that say which write they come from, and checks what reads show.
//
//   stamped-io fill  DEVICE MODEL              stamp every block; MODEL gets one value per block
//   stamped-io write DEVICE MODEL [options]    random writes; MODEL follows
//   stamped-io learn DEVICE MODEL              read every block once into MODEL
//   stamped-io check DEVICE MODEL [options]    read every block; each must have its value
//   stamped-io read  DEVICE MODEL [options]    random reads; each must have its values
//
//   --seconds N     how long (10); SIGTERM ends it earlier
//   --depth N       requests in flight (32)
//   --blocks N      most blocks of a request (8)
//   --first N --count N  the blocks to work on (all)
//   --seed N        another series of places
//   --sectors       reads begin and end at any sector, not at blocks
//   --allow-errors  failing reads are counted, not failures; wrong data is
//
// MODEL is a file of 64-bit values. A writer never has two writes to one block in flight, so its
// model is what the device must show when it has ended. A failed write is a failure.
#include "async_io.hpp"
#include "stamp.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace
{

constexpr std::uint64_t kSectorsPerBlock = kBlockBytes / kSectorBytes;
constexpr std::uint32_t kSequentialBlocks = 256;
constexpr int kShownErrors = 5;

volatile sig_atomic_t stopped = 0;

double now()
{
	timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

struct Options {
	double seconds = 10;
	unsigned depth = 32;
	std::uint32_t blocks = 8;
	std::uint64_t first = 0;
	std::uint64_t count = 0;
	std::uint64_t seed = 1;
	bool sectors = false;
	bool allow_errors = false;
};

class Job
{
public:
	Job(const std::string &device, std::string model, const Options &options, bool write)
		: options_(options), model_path_(std::move(model)), random_(options.seed),
		  fd_(open(device.c_str(), (write ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC))
	{
		std::uint64_t bytes = 0;
		if (fd_ < 0 || ioctl(fd_, BLKGETSIZE64, &bytes))
			fail_errno(device);
		model_.resize(bytes / kBlockBytes);
		end_ = options.count ? std::min(options.first + options.count, model_.size())
				     : model_.size();
	}
	~Job() { close(fd_); }

	int fill()
	{
		std::uint64_t next = options_.first;
		AsyncIo io(4, kSequentialBlocks * kBlockBytes);
		load_model(false);
		while (next < end_ || io.in_flight()) {
			Request *request = next < end_ ? io.idle() : nullptr;
			if (!request) {
				io.reap([&](Request &done, int error) { ended(done, error); });
				continue;
			}
			const auto blocks = std::min<std::uint64_t>(kSequentialBlocks, end_ - next);
			stamp(*request, next, static_cast<std::uint32_t>(blocks), options_.seed);
			io.submit(*request, fd_, true);
			next += blocks;
		}
		save_model();
		return verdict("filled");
	}

	int write()
	{
		AsyncIo io(options_.depth, options_.blocks * kBlockBytes);
		std::vector<bool> busy(model_.size());
		const double end = now() + options_.seconds;
		std::uint64_t value = options_.seed << 40;

		load_model(true);
		for (;;) {
			const bool more = !stopped && now() < end && failures_ == 0;
			Request *request = more ? io.idle() : nullptr;
			if (!request) {
				if (!io.in_flight())
					break;
				io.reap([&](Request &done, int error) {
					set_busy(busy, done, false);
					ended(done, error);
				});
				continue;
			}
			if (!place(busy, *request)) {
				io.put_back(request);
				if (io.in_flight())
					io.reap([&](Request &done, int error) {
						set_busy(busy, done, false);
						ended(done, error);
					});
				continue;
			}
			stamp(*request, request->first_sector / kSectorsPerBlock,
			      static_cast<std::uint32_t>(request->sectors / kSectorsPerBlock),
			      ++value);
			set_busy(busy, *request, true);
			io.submit(*request, fd_, true);
		}
		save_model();
		return verdict("written");
	}

	// Every block in order; `learn` makes the model, else it is compared.
	int scan(bool learn)
	{
		std::uint64_t next = options_.first;
		AsyncIo io(options_.depth, kSequentialBlocks * kBlockBytes);
		load_model(!learn);
		while (next < end_ || io.in_flight()) {
			Request *request = next < end_ ? io.idle() : nullptr;
			if (!request) {
				io.reap([&](Request &done, int error) {
					learn ? learned(done, error) : compared(done, error);
				});
				continue;
			}
			const auto blocks = std::min<std::uint64_t>(kSequentialBlocks, end_ - next);
			request->first_sector = next * kSectorsPerBlock;
			request->sectors = static_cast<std::uint32_t>(blocks * kSectorsPerBlock);
			io.submit(*request, fd_, false);
			next += blocks;
		}
		if (learn)
			save_model();
		return verdict(learn ? "learned" : "checked");
	}

	int read()
	{
		AsyncIo io(options_.depth, (options_.blocks + 1) * kBlockBytes);
		const double end = now() + options_.seconds;

		load_model(true);
		for (;;) {
			const bool more = !stopped && now() < end && failures_ == 0;
			Request *request = more ? io.idle() : nullptr;
			if (!request) {
				if (!io.in_flight())
					break;
				io.reap([&](Request &done, int error) { compared(done, error); });
				continue;
			}
			random_place(*request);
			io.submit(*request, fd_, false);
		}
		return verdict("read");
	}

private:
	std::uint64_t random(std::uint64_t below) { return random_() % below; }

	void random_place(Request &request)
	{
		const std::uint64_t first_sector = options_.first * kSectorsPerBlock;
		const std::uint64_t end_sector = end_ * kSectorsPerBlock;
		const std::uint64_t grain = options_.sectors ? 1 : kSectorsPerBlock;
		const std::uint64_t most = options_.blocks * kSectorsPerBlock / grain;

		request.first_sector =
			first_sector + random((end_sector - first_sector) / grain) * grain;
		request.sectors = static_cast<std::uint32_t>(
			std::min((1 + random(most)) * grain, end_sector - request.first_sector));
	}

	bool place(const std::vector<bool> &busy, Request &request)
	{
		for (int attempt = 0; attempt < 20; attempt++) {
			random_place(request);
			bool is_free = true;
			for_each_block(request,
				       [&](std::uint64_t block) { is_free &= !busy[block]; });
			if (is_free)
				return true;
		}
		return false;
	}

	template <class Visit> static void for_each_block(const Request &request, Visit visit)
	{
		for (std::uint64_t sector = request.first_sector;
		     sector < request.first_sector + request.sectors; sector += kSectorsPerBlock)
			visit(sector / kSectorsPerBlock);
	}

	static void set_busy(std::vector<bool> &busy, const Request &request, bool to)
	{
		for_each_block(request, [&](std::uint64_t block) { busy[block] = to; });
	}

	static void stamp(Request &request, std::uint64_t first, std::uint32_t blocks,
			  std::uint64_t value)
	{
		request.first_sector = first * kSectorsPerBlock;
		request.sectors = static_cast<std::uint32_t>(blocks * kSectorsPerBlock);
		request.value = value;
		for (std::uint32_t i = 0; i < blocks; i++)
			write_stamp(request.buffer + i * kBlockBytes, first + i, value);
	}

	void complain(const Request &request, const std::string &what)
	{
		if (failures_++ < kShownErrors)
			std::cerr << "stamped-io: sectors " << request.first_sector << "+"
				  << request.sectors << ": " << what << "\n";
	}

	void ended(const Request &request, int error)
	{
		if (error) {
			complain(request, std::strerror(error));
			return;
		}
		requests_++;
		for_each_block(request,
			       [&](std::uint64_t block) { model_[block] = request.value; });
	}

	void learned(const Request &request, int error)
	{
		if (read_failed(request, error))
			return;
		const char *at = request.buffer;
		for_each_block(request, [&](std::uint64_t block) {
			const auto value = read_stamp(at, block);
			if (value)
				model_[block] = *value;
			else
				complain(request,
					 "block " + std::to_string(block) + " is not whole");
			at += kBlockBytes;
		});
	}

	bool read_failed(const Request &request, int error)
	{
		requests_++;
		if (!error)
			return false;
		errors_++;
		if (!options_.allow_errors)
			complain(request, std::strerror(error));
		return true;
	}

	void compared(const Request &request, int error)
	{
		if (read_failed(request, error))
			return;
		alignas(8) char expected[kBlockBytes];
		const std::uint64_t end = request.first_sector + request.sectors;
		for (std::uint64_t sector = request.first_sector; sector < end;) {
			const std::uint64_t block = sector / kSectorsPerBlock;
			const std::uint64_t next = std::min((block + 1) * kSectorsPerBlock, end);
			const std::size_t at = (sector % kSectorsPerBlock) * kSectorBytes;
			const char *got =
				request.buffer + (sector - request.first_sector) * kSectorBytes;
			write_stamp(expected, block, model_[block]);
			if (std::memcmp(got, expected + at, (next - sector) * kSectorBytes))
				wrong(request, block, got, at);
			sector = next;
		}
	}

	void wrong(const Request &request, std::uint64_t block, const char *got, std::size_t at)
	{
		std::string what = "block " + std::to_string(block) + " should be of write " +
				   std::to_string(model_[block]);
		if (at == 0) {
			std::uint64_t words[2];
			std::memcpy(words, got, sizeof(words));
			what += ", shows block " + std::to_string(words[0]) + " of write " +
				std::to_string(words[1]);
		}
		complain(request, what);
	}

	void load_model(bool must_exist)
	{
		std::ifstream file(model_path_, std::ios::binary);
		const auto bytes = static_cast<std::streamsize>(model_.size() * sizeof(model_[0]));
		if (!file.read(reinterpret_cast<char *>(model_.data()), bytes) && must_exist)
			throw std::runtime_error("cannot read the model " + model_path_);
	}

	void save_model()
	{
		std::ofstream file(model_path_, std::ios::binary);
		const auto bytes = static_cast<std::streamsize>(model_.size() * sizeof(model_[0]));
		if (!file.write(reinterpret_cast<const char *>(model_.data()), bytes).flush())
			throw std::runtime_error("cannot write the model " + model_path_);
	}

	int verdict(const char *verb) const
	{
		std::cout << verb << " requests=" << requests_ << " errors=" << errors_
			  << " failures=" << failures_ << std::endl;
		// A job that did nothing proves nothing.
		return failures_ || requests_ == 0 ? 1 : 0;
	}

	Options options_;
	std::string model_path_;
	std::mt19937_64 random_;
	int fd_;
	std::uint64_t end_ = 0;
	std::vector<std::uint64_t> model_;
	std::uint64_t requests_ = 0;
	std::uint64_t errors_ = 0;
	std::uint64_t failures_ = 0;
};

Options parse(int count, char **words)
{
	Options options;
	for (int i = 0; i < count; i++) {
		const std::string word = words[i];
		if (word == "--sectors") {
			options.sectors = true;
			continue;
		}
		if (word == "--allow-errors") {
			options.allow_errors = true;
			continue;
		}
		if (++i >= count)
			throw std::runtime_error(word + " needs a value");
		const std::uint64_t value = std::stoull(words[i]);
		if (word == "--seconds")
			options.seconds = static_cast<double>(value);
		else if (word == "--depth")
			options.depth = static_cast<unsigned>(value);
		else if (word == "--blocks")
			options.blocks = static_cast<std::uint32_t>(value);
		else if (word == "--first")
			options.first = value;
		else if (word == "--count")
			options.count = value;
		else if (word == "--seed")
			options.seed = value;
		else
			throw std::runtime_error("unknown option " + word);
	}
	return options;
}

int run(int count, char **words)
{
	if (count < 4)
		throw std::runtime_error(
			"usage: stamped-io fill|write|learn|check|read DEVICE MODEL [options]");
	const std::string verb = words[1];
	const bool writes = verb == "fill" || verb == "write";
	Job job(words[2], words[3], parse(count - 4, words + 4), writes);
	if (verb == "fill")
		return job.fill();
	if (verb == "write")
		return job.write();
	if (verb == "learn" || verb == "check")
		return job.scan(verb == "learn");
	if (verb == "read")
		return job.read();
	throw std::runtime_error("unknown verb " + verb);
}

} // namespace

int main(int count, char **words)
{
	signal(SIGTERM, [](int) { stopped = 1; });
	try {
		return run(count, words);
	} catch (const std::exception &error) {
		std::cerr << "stamped-io: " << error.what() << "\n";
		return 1;
	}
}
