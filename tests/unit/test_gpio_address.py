"""Lines by name on boards whose chips are numbered differently from kernel to kernel."""

import pytest

from device_bridge.buses.gpio.address import AddressError, Chip, find_line
from device_bridge.buses.gpio.backend import same_devices


def board(*chips):
    return [Chip(f"/dev/{name}", name, label, tuple(lines)) for name, label, lines in chips]


PI_NAMES = ["ID_SDA", "ID_SCL", *(f"GPIO{n}" for n in range(2, 28)), *[""] * 26]
OLD_PI_NAMES = ["ID_SDAA", "ID_SCLA", "SDA1", "SCL1", "GPIO_GCLK", *(f"GPIO{n}" for n in range(5, 28)), *[""] * 26]
RP1 = ("pinctrl-rp1", PI_NAMES)
SOC = [("gpio-brcmstb@107d508500", ["-", "2712_BOOT_CS_N"]), ("gpio-brcmstb@107d517c00", ["RP1_SDA"])]
MORE = ("gpiochip1", "raspberrypi-exp-gpio", ["BT_ON"])
BOARDS = {
    "Raspberry Pi 3": board(("gpiochip0", "pinctrl-bcm2835", OLD_PI_NAMES), MORE),
    "Raspberry Pi 4": board(("gpiochip0", "pinctrl-bcm2711", PI_NAMES), MORE),
    "Raspberry Pi 5, Linux 6.1": board(("gpiochip0", *SOC[0]), ("gpiochip1", *SOC[1]), ("gpiochip4", *RP1)),
    "Raspberry Pi 5, Linux 6.6": board(("gpiochip0", *RP1), ("gpiochip10", *SOC[0]), ("gpiochip11", *SOC[1])),
}
BEAGLEBONE = board(
    ("gpiochip0", "gpio-0-31", [f"P8_{n:02}" for n in range(32)]),
    ("gpiochip2", "gpio-64-95", [f"P9_{n:02}" for n in range(32)]),
)
EXPANDERS = board(
    ("gpiochip0", "INT34C6:00", [""] * 300), ("gpiochip1", "pca9539", [""] * 16), ("gpiochip2", "pca9539", [""] * 16)
)
PINS = [("GPIO17", 17), ("BOARD11", 17), ("GPIO2", 2), ("BOARD3", 2), ("GPIO27", 27)]


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize(
    ("line", "offset"), [("GPIO17", 17), ("BOARD11", 17), ("GPIO2", 2), ("BOARD3", 2), ("GPIO27", 27)]
)
def test_the_pins_of_a_raspberry_pi_are_found_whatever_its_chips_are_numbered(name, line, offset):
    chip, found = find_line(BOARDS[name], "", line)
    assert (chip.label.startswith("pinctrl-"), found) == (True, offset)


@pytest.mark.parametrize("kernel", ["6.1", "6.6"])
def test_a_label_stays_when_numbers_change(kernel):
    chip, offset = find_line(BOARDS[f"Raspberry Pi 5, Linux {kernel}"], "pinctrl-rp1", "17")
    assert (chip.label, offset) == ("pinctrl-rp1", 17)
    chip, offset = find_line(BOARDS[f"Raspberry Pi 5, Linux {kernel}"], "", "RP1_SDA")
    assert (chip.label, offset) == ("gpio-brcmstb@107d517c00", 0)


def test_lines_of_a_beaglebone():
    chip, offset = find_line(BEAGLEBONE, "", "P9_12")
    assert (chip.name, offset) == ("gpiochip2", 12)
    assert find_line(BEAGLEBONE, "gpio-0-31", "5")[1] == 5


@pytest.mark.parametrize("line", ["GPIO17", "BOARD11"])
@pytest.mark.parametrize("chips", [BEAGLEBONE, EXPANDERS], ids=["BeagleBone", "x86"])
def test_names_of_a_pi_mean_nothing_elsewhere(chips, line):
    with pytest.raises(AddressError, match=f"no line is called '{line}'"):
        find_line(chips, "", line)


def test_a_chip_by_number_or_path_where_its_label_is_not_enough():
    with pytest.raises(AddressError, match="several chips are labelled 'pca9539': gpiochip1, gpiochip2"):
        find_line(EXPANDERS, "pca9539", "3")
    assert find_line(EXPANDERS, "gpiochip2", "3")[0].name == "gpiochip2"
    assert find_line(EXPANDERS, "/dev/gpiochip1", "3")[0].name == "gpiochip1"


@pytest.mark.parametrize(
    ("chip", "line", "words"),
    [
        ("", "17", "line 17 of which chip"),
        ("", 17, "Do you mean GPIO17, or a line of pinctrl-bcm2711"),
        ("", "GPI017", "did you mean GPIO17"),
        ("", "BT_ONN", "did you mean BT_ON"),
        ("pinctrl-bcm2711", "54", "has 54 lines"),
        ("pinctrl-rp1", "17", r"there are pinctrl-bcm2711 \(gpiochip0\), raspberrypi-exp-gpio"),
        ("", "GPIO40", "there are ID_SDA, ID_SCL, GPIO2"),
        ("", "BOARD1", "no line is called 'BOARD1'"),
        ("raspberrypi-exp-gpio", "GPIO17", "there are BT_ON"),
    ],
)
def test_what_is_not_there_is_reported_with_what_is(chip, line, words):
    with pytest.raises(AddressError, match=words):
        find_line(BOARDS["Raspberry Pi 4"], chip, line)


def test_one_name_on_two_chips_is_ambiguous_unless_the_chip_is_named():
    chips = board(("gpiochip0", "a", ["RELAY"]), ("gpiochip1", "b", ["RELAY"]))
    with pytest.raises(AddressError, match="several lines are called 'RELAY': a line 0, b line 0"):
        find_line(chips, "", "RELAY")
    assert find_line(chips, "b", "RELAY")[0].label == "b"


MAINLINE = board(
    ("gpiochip0", "gpio-0-31", ["[mdio_data]", "P9_22 [spi0_sclk]", "P9_21 [spi0_d0]", "P8_2"]),
    ("gpiochip1", "gpio-32-63", ["P8_25 [mmc1_dat0]", "[mmc0_clk]", "P9_22B (UART2_RXD)", "eMMC RST"]),
)


@pytest.mark.parametrize(
    ("line", "label", "offset"),
    [
        ("P9_22 [spi0_sclk]", "gpio-0-31", 1),
        ("P9_22", "gpio-0-31", 1),
        ("p9_22", "gpio-0-31", 1),
        ("spi0_sclk", "gpio-0-31", 1),
        ("P8_2", "gpio-0-31", 3),
        ("p8_25", "gpio-32-63", 0),
        ("uart2_rxd", "gpio-32-63", 2),
        ("emmc rst", "gpio-32-63", 3),
    ],
)
def test_names_by_their_parts_in_any_case(line, label, offset):
    chip, found = find_line(MAINLINE, "", line)
    assert (chip.label, found) == (label, offset)


def test_a_name_that_is_a_part_of_several_is_ambiguous():
    chips = board(("gpiochip0", "a", ["X1 [irq]", "X2 [irq]", "irq2"]))
    with pytest.raises(AddressError, match="several lines are called 'IRQ': a line 0, a line 1"):
        find_line(chips, "", "IRQ")
    assert find_line(chips, "", "irq2")[1] == 2


@pytest.mark.parametrize(("line", "offset"), [("gpio17", 17), ("Gpio2", 2), ("board11", 17)])
def test_pins_of_a_raspberry_pi_in_any_case(line, offset):
    assert find_line(BOARDS["Raspberry Pi 3"], "", line)[1] == offset


def test_a_number_with_its_chip_is_an_offset_also_as_a_number():
    assert find_line(BOARDS["Raspberry Pi 4"], "pinctrl-bcm2711", 17)[1] == 17


def test_one_chip_under_two_names_is_one_chip(tmp_path):
    """As on the Raspberry Pi 5, whose `gpiochip4` is a link to `gpiochip0`."""
    for name, target in (("gpiochip4", "gpiochip0"), ("gpiochip0", "/dev/null"), ("gpiochip10", "/dev/zero")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "gpiochip9").symlink_to("nowhere")
    found = [[node.name for node in nodes] for nodes in same_devices(tmp_path.iterdir())]
    assert found == [["gpiochip0", "gpiochip4"], ["gpiochip10"]]
    pi5 = [Chip("/dev/gpiochip0", "gpiochip0", *RP1, ("/dev/gpiochip4",))]
    for chip in ("", "gpiochip0", "gpiochip4", "/dev/gpiochip4", "pinctrl-rp1"):
        assert find_line(pi5, chip, "GPIO17")[1] == 17
