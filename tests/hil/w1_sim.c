// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A 1-Wire master with DS18B20 on it, byte by byte, for the kernel's own w1_therm (DS18B20, 19-7487 rev. 6).
 *
 * Parameters, in /sys/module/w1_sim/parameters: what each sensor measures, in sixteenths of a degree; the number of
 * one that does not answer, of one with damaged bits, of one whose supply breaks down in each conversion; -1 for none.
 */
#include <linux/module.h>
#include <linux/w1.h>

#define SENSORS 20
#define POWER_ON 0x0550
#define ALL (-1)
#define NOBODY (-2)

static int raw[SENSORS] = { [0 ... SENSORS - 1] = 320 };
static int absent = -1, noisy = -1, undersupplied = -1, conversions, bulk_conversions;
module_param_array(raw, int, NULL, 0644);
module_param(absent, int, 0644);
module_param(noisy, int, 0644);
module_param(undersupplied, int, 0644);
module_param(conversions, int, 0444);
module_param(bulk_conversions, int, 0444);

static struct sensor {
	u8 id[8];
	u8 scratchpad[9];
} sensors[SENSORS];

static int selected, at, matched;
static u8 rom[8], function;
static enum { ROM, MATCH, FUNCTION, DATA } state;

static void store(struct sensor *one, int value, u8 counted)
{
	one->scratchpad[0] = value & 0xff;
	one->scratchpad[1] = (value >> 8) & 0xff;
	one->scratchpad[6] = counted;
	one->scratchpad[8] = w1_calc_crc8(one->scratchpad, 8);
}

static void convert(int n)
{
	struct sensor *one = &sensors[n];
	int step = 1 << (3 - ((one->scratchpad[4] >> 5) & 3));
	int value = raw[n] & ~(step - 1);

	if (n == undersupplied)
		store(one, POWER_ON, 0x0c);
	else
		store(one, value, 0x10 - (value & 0x0f));
}

static void begin_function(u8 byte)
{
	int n;

	function = byte;
	at = 0;
	state = DATA;
	if (byte != 0x44) /* Convert T */
		return;
	if (selected == ALL)
		bulk_conversions++;
	else if (selected != NOBODY)
		conversions++;
	for (n = 0; n < SENSORS; n++)
		if (n != absent && (selected == ALL || selected == n))
			convert(n);
}

static void write_byte(void *data, u8 byte)
{
	int n;

	switch (state) {
	case ROM:
		selected = byte == 0xcc ? ALL : NOBODY; /* Skip ROM */
		matched = 0;
		state = byte == 0x55 ? MATCH : FUNCTION; /* Match ROM */
		break;
	case MATCH:
		rom[matched++] = byte;
		if (matched < 8)
			break;
		for (n = 0; n < SENSORS; n++)
			if (n != absent && !memcmp(rom, sensors[n].id, 8))
				selected = n;
		state = FUNCTION;
		break;
	case FUNCTION:
		begin_function(byte);
		break;
	case DATA:
		if (function == 0x4e && selected >= 0 && at < 3) { /* Write Scratchpad */
			sensors[selected].scratchpad[2 + at++] = byte;
			sensors[selected].scratchpad[8] = w1_calc_crc8(sensors[selected].scratchpad, 8);
		}
	}
}

static u8 read_byte(void *data)
{
	u8 byte;

	if (state != DATA || function != 0xbe || selected < 0 || at > 8) /* Read Scratchpad */
		return 0xff;
	byte = sensors[selected].scratchpad[at++];
	return selected == noisy && at == 1 ? byte ^ 0x40 : byte;
}

static u8 touch_bit(void *data, u8 bit)
{
	return 1; /* externally powered, and nothing is under way */
}

static u8 reset_bus(void *data)
{
	state = ROM;
	return 0;
}

static void search(void *data, struct w1_master *master, u8 type, w1_slave_found_callback found)
{
	int n;
	u64 id;

	for (n = 0; n < SENSORS; n++) {
		memcpy(&id, sensors[n].id, 8);
		if (n != absent)
			found(master, le64_to_cpu((__force __le64)id));
	}
}

static struct w1_bus_master master = {
	.write_byte = write_byte,
	.read_byte = read_byte,
	.touch_bit = touch_bit,
	.reset_bus = reset_bus,
	.search = search,
};

static int __init w1_sim_init(void)
{
	static const u8 start[9] = { 0x50, 0x05, 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10 };
	int n;

	for (n = 0; n < SENSORS; n++) {
		sensors[n].id[0] = 0x28;
		sensors[n].id[1] = n + 1;
		sensors[n].id[7] = w1_calc_crc8(sensors[n].id, 7);
		memcpy(sensors[n].scratchpad, start, 9);
		store(&sensors[n], POWER_ON, 0x0c);
	}
	return w1_add_master_device(&master);
}
module_init(w1_sim_init);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Simulated 1-Wire thermometers");
