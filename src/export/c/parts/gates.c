// y = x gate, by channel.
static void apply_gates(const float *x, const float *gates, float *y, int channels, int sites)
{
    for (int channel = 0; channel < channels; channel++)
        for (int i = 0; i < sites; i++)
            *y++ = *x++ * gates[channel];
}
