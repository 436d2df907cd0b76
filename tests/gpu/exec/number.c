/* Rounding to 16-bit floats. */
#include "number.h"

/* The integer nearest to v in the direction asked. */
static double round_integer(double v, enum rounding round)
{
	switch (round) {
	case ROUND_ZERO: return trunc(v);
	case ROUND_DOWN: return floor(v);
	case ROUND_UP:   return ceil(v);
	default:         return rint(v);
	}
}

uint16_t narrow(double v, int fraction, int bias, enum rounding round)
{
	uint16_t sign = signbit(v) ? 0x8000 : 0, infinity = (uint16_t)((2 * bias + 1) << fraction);
	if (v != v)
		return NAN_16;
	if (v == 0 || isinf(v))
		return v == 0 ? sign : sign | infinity;
	int exponent = ilogb(v) < 1 - bias ? 1 - bias : ilogb(v);
	double units = fabs(round_integer(ldexp(v, fraction - exponent), round));
	/* A carry into the exponent, and subnormals, come out right: units are just added. */
	double r = ldexp(exponent + bias - 1, fraction) + units;
	if (r < infinity)
		return (uint16_t)(sign | (uint16_t)r);
	bool away = round == ROUND_NEAREST || (round == ROUND_UP && v > 0) || (round == ROUND_DOWN && v < 0);
	return (uint16_t)(sign | (away ? infinity : infinity - 1));
}

double add_odd(double a, double b)
{
	double sum = a + b, part = sum - a, error = (a - (sum - part)) + (b - part);
	uint64_t bits = bits_of_f64(sum);
	if (error == 0 || error != error || isinf(sum) || bits & 1)
		return sum;
	/* Towards the error: the neighbour is odd. */
	return double_of((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
}

/* ---- 8 bits ---- */
enum { NAN_8 = 0x7f };

static uint8_t narrow_8(float v, int fraction, int bias, float largest)
{
	uint8_t sign = signbit(v) ? 0x80 : 0;
	double magnitude = fabsf(v) > largest ? largest : fabsf(v);
	if (v != v)
		return NAN_8;
	if (v == 0)
		return sign;
	int exponent = ilogb(magnitude) < 1 - bias ? 1 - bias : ilogb(magnitude);
	double units = rint(ldexp(magnitude, fraction - exponent));
	return sign | (uint8_t)(ldexp(exponent + bias - 1, fraction) + units);
}

uint8_t e4m3_of_f32(float v) { return narrow_8(v, 3, 7, 448); }
uint8_t e5m2_of_f32(float v) { return narrow_8(v, 2, 15, 57344); }

uint16_t f16_of_e4m3(uint8_t v)
{
	int exponent = v >> 3 & 15, fraction = v & 7;
	if ((v & 0x7f) == NAN_8)
		return NAN_16;
	float magnitude = ldexpf((float)(exponent ? 8 + fraction : fraction), (exponent ? exponent : 1) - 10);
	return f16_of_f32(v & 0x80 ? -magnitude : magnitude);
}

uint16_t f16_of_e5m2(uint8_t v) { return (v & 0x7f) > 0x7c ? NAN_16 : (uint16_t)(v << 8); }
