// SPDX-License-Identifier: GPL-2.0
//
// bpf-hold FUNCTION: a BPF program that does nothing at the entry of a function of the kernel (fentry), until standard
// input ends. Prints "held" when it is there.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstdio>
#include <cstring>
#include <iterator>
#include <unistd.h>

namespace
{

int failed(const char *what, int error)
{
	std::fprintf(stderr, "bpf-hold: %s: %s\n", what, std::strerror(-error));
	return 1;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::fprintf(stderr, "usage: bpf-hold FUNCTION\n");
		return 2;
	}
	const int function = libbpf_find_vmlinux_btf_id(argv[1], BPF_TRACE_FENTRY);
	if (function < 0)
		return failed("no type is known of the function", function);

	const bpf_insn program[] = {
		{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0}, // return 0
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FENTRY,
		    .attach_btf_id = static_cast<__u32>(function));
	const int loaded = bpf_prog_load(BPF_PROG_TYPE_TRACING, "hold", "GPL", program,
					 std::size(program), &options);
	if (loaded < 0)
		return failed("cannot load the program", loaded);
	const int link = bpf_raw_tracepoint_open(nullptr, loaded);
	if (link < 0)
		return failed("cannot attach the program", link);

	std::puts("held");
	std::fflush(stdout);
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
