/* A Cortex-M without an operating system: a vector table, and the self-test between two looks at the clock.
 *
 * Ends the emulator by semihosting, with exit code 0 where nothing differs, and writes the clock's ticks first. qemu
 * counts one instruction as 2^N ns (-icount shift=N), and SysTick's reference clock ticks once in 40 ns. */
#include <stdint.h>

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

extern uint32_t _stack;
int model_self_test(void);
void reset(void);

static volatile uint32_t wraps;

static void tick(void)
{
    wraps++;
}

static void halt(void)
{
    for (;;) {
    }
}

static const struct {
    void *stack;
    void (*handlers[15])(void);
} vectors __attribute__((section(".vectors"), used)) = {
    &_stack, {reset, halt, halt, halt, halt, halt, 0, 0, 0, 0, halt, halt, 0, halt, tick}};

static int call(int number, const void *argument)
{
    register int r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void write_number(uint64_t value)
{
    char text[24];
    int at = 23;
    text[at] = 0;
    text[--at] = '\n';
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    call(4, text + at); /* SYS_WRITE0 */
}

void reset(void)
{
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0;
    SYST_CSR = 7; /* the processor's clock, with an interrupt at every wrap */
    const int different = model_self_test();
    const uint32_t left = SYST_CVR;
    write_number((uint64_t)wraps * 0x1000000u + (0xFFFFFFu - left));
    const uint32_t end[2] = {0x20026, (uint32_t)(different != 0)}; /* ADP_Stopped_ApplicationExit */
    call(0x20, end); /* SYS_EXIT_EXTENDED */
    halt();
}
