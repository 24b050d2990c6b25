// SPDX-License-Identifier: GPL-2.0
//
// sim: runs histories. Each worker process takes every Nth seed; a failure ends its process, and
// the next worker goes on behind the failed seed.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <csignal>
#include <script/history.hpp>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>
#include <world/report.hpp>

namespace
{

using namespace sim;

struct Options {
	const char *program = "sim";
	u64 first = 1;
	u64 histories = 1;
	u32 jobs = 1;
	u32 most_failures = 5;
	bool single = false;
	bool verbose = false;
	const char *seeds = nullptr;
};

// Shared with the workers.
struct Progress {
	volatile u64 seed; // at work
	volatile u64 done;
	volatile u64 steps, writes, takes, corrupted;
};

int usage(const char *program)
{
	std::fprintf(stderr,
		     "usage: %s --seed N [--verbose]\n"
		     "       %s [--histories N] [--first-seed M] [--jobs J] [--failures F]\n"
		     "       %s --seeds FILE\n",
		     program, program, program);
	return 2;
}

bool parse(int argc, char **argv, Options &options)
{
	options.program = argv[0];
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];
		if (!std::strcmp(name, "--verbose")) {
			options.verbose = true;
			continue;
		}
		if (i + 1 == argc)
			return false;
		const char *text = argv[++i];
		const u64 value = std::strtoull(text, nullptr, 0);
		if (!std::strcmp(name, "--seed")) {
			options.first = value;
			options.single = true;
		} else if (!std::strcmp(name, "--histories")) {
			options.histories = value;
		} else if (!std::strcmp(name, "--first-seed")) {
			options.first = value;
		} else if (!std::strcmp(name, "--jobs")) {
			options.jobs = static_cast<u32>(value ? value : 1);
		} else if (!std::strcmp(name, "--failures")) {
			options.most_failures = static_cast<u32>(value);
		} else if (!std::strcmp(name, "--seeds")) {
			options.seeds = text;
		} else {
			return false;
		}
	}
	return true;
}

void add(Progress &progress, const Statistics &statistics)
{
	progress.steps = progress.steps + statistics.steps;
	progress.writes = progress.writes + statistics.writes;
	progress.takes = progress.takes + statistics.takes;
	progress.corrupted = progress.corrupted + statistics.corrupted;
	progress.done = progress.done + 1;
}

// One worker's share of the seeds, and where it stands.
struct Worker {
	pid_t pid = 0;
	u64 next = 0; // index into the list of seeds
	Progress *progress = nullptr;
};

class Campaign
{
public:
	Campaign(const Options &options, std::vector<u64> seeds)
		: options_(options), seeds_(std::move(seeds)), workers_(options.jobs)
	{
		void *shared = mmap(nullptr, sizeof(Progress) * workers_.size(),
				    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED) {
			std::perror("mmap");
			std::exit(2);
		}
		for (u32 i = 0; i < workers_.size(); i++) {
			workers_[i].progress = static_cast<Progress *>(shared) + i;
			workers_[i].next = i;
		}
	}
	int run();

private:
	void start(Worker &worker);
	void work(Worker &worker);
	bool ended(Worker &worker, int status);
	void show(bool last);
	double seconds() const
	{
		timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		return static_cast<double>(now.tv_sec - begin_.tv_sec) +
		       static_cast<double>(now.tv_nsec - begin_.tv_nsec) * 1e-9;
	}

	const Options &options_;
	std::vector<u64> seeds_;
	std::vector<Worker> workers_;
	u64 failed_ = 0;
	timespec begin_{};
	double shown_ = 0;
};

void Campaign::work(Worker &worker)
{
	for (u64 i = worker.next; i < seeds_.size(); i += workers_.size()) {
		worker.progress->seed = seeds_[i];
		add(*worker.progress, run_history(seeds_[i], options_.program));
	}
}

void Campaign::start(Worker &worker)
{
	std::fflush(nullptr);
	worker.pid = fork();
	if (worker.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(worker);
		std::exit(0);
	}
}

// Return: true if there is more to do for this worker.
bool Campaign::ended(Worker &worker, int status)
{
	worker.pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	failed_++;
	const u64 seed = worker.progress->seed;
	if (WIFSIGNALED(status))
		std::fprintf(stderr, "FAILED seed %llu [crash]: signal %d\n"
			     "  replay: %s --seed %llu --verbose\n",
			     static_cast<unsigned long long>(seed), WTERMSIG(status),
			     options_.program, static_cast<unsigned long long>(seed));
	while (worker.next < seeds_.size() && seeds_[worker.next] != seed)
		worker.next += workers_.size();
	worker.next += workers_.size();
	return failed_ < options_.most_failures && worker.next < seeds_.size();
}

void Campaign::show(bool last)
{
	if (!last && seconds() - shown_ < 10)
		return;
	shown_ = seconds();
	u64 done = 0, steps = 0, writes = 0, takes = 0, corrupted = 0;
	for (const Worker &worker : workers_) {
		done += worker.progress->done;
		steps += worker.progress->steps;
		writes += worker.progress->writes;
		takes += worker.progress->takes;
		corrupted += worker.progress->corrupted;
	}
	const double time = seconds() > 0 ? seconds() : 1;
	std::printf("sim: %llu histories, %.0f/s; %llu writes, %llu takes, %llu images lost, "
		    "%llu steps\n", static_cast<unsigned long long>(done),
		    static_cast<double>(done) / time, static_cast<unsigned long long>(writes),
		    static_cast<unsigned long long>(takes),
		    static_cast<unsigned long long>(corrupted),
		    static_cast<unsigned long long>(steps));
	if (last)
		std::printf("%llu histories passed, %llu failed\n",
			    static_cast<unsigned long long>(done),
			    static_cast<unsigned long long>(failed_));
	std::fflush(stdout);
}

int Campaign::run()
{
	clock_gettime(CLOCK_MONOTONIC, &begin_);
	u32 running = 0;
	for (Worker &worker : workers_) {
		start(worker);
		running++;
	}
	while (running) {
		int status = 0;
		bool any = false;
		for (Worker &worker : workers_) {
			if (!worker.pid || waitpid(worker.pid, &status, WNOHANG) != worker.pid)
				continue;
			any = true;
			if (ended(worker, status))
				start(worker);
			else
				running--;
		}
		if (!any)
			usleep(20'000);
		show(false);
	}
	show(true);
	return failed_ ? 1 : 0;
}

std::vector<u64> read_seeds(const char *path)
{
	std::vector<u64> seeds;
	std::FILE *file = std::fopen(path, "r");
	if (!file) {
		std::perror(path);
		std::exit(2);
	}
	char line[512];
	while (std::fgets(line, sizeof(line), file)) {
		char *end;
		const u64 seed = std::strtoull(line, &end, 0);
		if (end != line)
			seeds.push_back(seed);
	}
	std::fclose(file);
	return seeds;
}

} // namespace

int main(int argc, char **argv)
{
	Options options;
	if (argc < 2 || !parse(argc, argv, options))
		return usage(argv[0]);
	set_verbose(options.verbose);
	if (options.single) {
		const Statistics result = run_history(options.first, options.program);
		std::printf("seed %llu: %llu writes, %llu takes, %llu images lost, %llu steps\n",
			    static_cast<unsigned long long>(options.first),
			    static_cast<unsigned long long>(result.writes),
			    static_cast<unsigned long long>(result.takes),
			    static_cast<unsigned long long>(result.corrupted),
			    static_cast<unsigned long long>(result.steps));
		std::printf("1 histories passed, 0 failed\n");
		return 0;
	}
	std::vector<u64> seeds;
	if (options.seeds)
		seeds = read_seeds(options.seeds);
	for (u64 i = 0; !options.seeds && i < options.histories; i++)
		seeds.push_back(options.first + i);
	return Campaign(options, std::move(seeds)).run();
}
