// Runs a simulated core on the events of some samples, cycle by cycle, and writes down what it does.
//
//     core EVENTS OUT [SEED]      in the directory of the memory images
//
// EVENTS has items of three words of 32 bits: position, channel, value + 2^30 where a population ends + 2^31 where the
// sample ends with it. OUT.seen has (step, population, word, engines that fire), OUT.sent what the core sends, as EVENTS,
// OUT.cycles the cycles of each sample, 64 bits each. With a SEED both streams stall at random.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "Vcore.h"
#include "verilated.h"

static const uint64_t PATIENCE = 1u << 28; // cycles without an item or a step: it hangs

template <class T> static std::vector<T> read(const char *path)
{
    std::vector<T> found;
    FILE *file = fopen(path, "rb");
    if (!file) exit(2);
    fseek(file, 0, SEEK_END);
    found.resize(ftell(file) / sizeof(T));
    rewind(file);
    if (fread(found.data(), sizeof(T), found.size(), file) != found.size()) exit(2);
    fclose(file);
    return found;
}

template <class T> static void write(const std::string &path, const std::vector<T> &values)
{
    FILE *file = fopen(path.c_str(), "wb");
    if (!file || fwrite(values.data(), sizeof(T), values.size(), file) != values.size() || fclose(file)) exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    const std::vector<uint32_t> events = read<uint32_t>(argv[1]);
    uint64_t random = argc > 3 ? strtoull(argv[3], nullptr, 10) : 0;
    const bool stalls = random != 0;
    std::vector<uint32_t> seen, sent;
    std::vector<uint64_t> cycles;

    VerilatedContext context;
    Vcore core(&context);
    uint64_t cycle = 0, began = 0, samples = 0, quiet = 0;
    uint32_t steps = 0;
    for (size_t i = 0; i + 2 < events.size(); i += 3) samples += events[i + 2] >> 31;

    core.reset = 1;
    for (int i = 0; i < 16; i++) {
        core.clock = i & 1;
        core.eval();
    }
    core.reset = 0;
    size_t at = 0;
    while (cycles.size() < samples || core.out_valid) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        core.in_valid = at < events.size() && !(stalls && random >> 63);
        core.out_ready = !(stalls && random >> 62 & 1);
        if (core.in_valid) {
            core.in_position = events[at];
            core.in_channel = events[at + 1];
            core.in_value = events[at + 2] & 0xFFFF;
            core.in_end = events[at + 2] >> 30 & 1;
            core.in_last = events[at + 2] >> 31;
        }
        core.clock = 0;
        core.eval();
        const bool taken = core.in_valid && core.in_ready;
        quiet++;
        if (core.out_valid && core.out_ready)
            sent.insert(sent.end(), {core.out_position, core.out_channel, (core.out_value & 0xFFFFFF) | uint32_t(core.out_end) << 30});
        if (core.step) {
            steps++;
            quiet = 0;
        }
        if (core.sample) {
            if (steps > 1) cycles.push_back(cycle - began);
            began = cycle;
        }
        if (core.seen) seen.insert(seen.end(), {steps - 1, core.seen_population, core.seen_word, core.seen_spikes});
        if (taken) {
            at += 3;
            quiet = 0;
        }
        if (quiet > PATIENCE) return 3;
        core.clock = 1;
        core.eval();
        cycle++;
    }
    const std::string out = argv[2];
    write(out + ".seen", seen);
    write(out + ".sent", sent);
    write(out + ".cycles", cycles);
    return 0;
}
