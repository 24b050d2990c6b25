// SPDX-License-Identifier: GPL-2.0
//
// Replay: a target as a program without a fuzzer. Each file is one input, then some bytes of it are
// changed, a few hundred times, the same ones each time: replay [--mutations N] FILE...
#include "input.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

namespace
{

using Bytes = std::vector<std::uint8_t>;

Bytes read(const char *path)
{
	std::ifstream file(path, std::ios::binary);
	if (!file) {
		std::perror(path);
		std::exit(2);
	}
	return {std::istreambuf_iterator<char>(file), {}};
}

void change(Bytes &bytes, std::mt19937_64 &random)
{
	for (unsigned n = 1 + random() % 4; n > 0; n--) {
		const std::size_t at = bytes.empty() ? 0 : random() % bytes.size();
		const auto value = static_cast<std::uint8_t>(random());
		if (bytes.empty() || random() % 8 == 0)
			bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), value);
		else if (random() % 8 == 0)
			bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
		else
			bytes[at] = random() % 2 ? value : bytes[at] ^ (1u << value % 8);
	}
}

unsigned long run(const char *path, unsigned long mutations)
{
	const Bytes bytes = read(path);
	std::mt19937_64 random(bytes.size());

	LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
	for (unsigned long i = 0; i < mutations; i++) {
		Bytes changed = bytes;
		change(changed, random);
		LLVMFuzzerTestOneInput(changed.data(), changed.size());
	}
	return mutations + 1;
}

} // namespace

int main(int argc, char **argv)
{
	unsigned long mutations = 0, runs = 0;
	int at = 1;

	if (argc > 2 && !std::strcmp(argv[1], "--mutations")) {
		mutations = std::strtoul(argv[2], nullptr, 0);
		at = 3;
	}
	for (; at < argc; at++)
		runs += run(argv[at], mutations);
	std::printf("%lu inputs\n", runs);
	return runs ? 0 : 1;
}
