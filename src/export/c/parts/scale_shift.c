// y = x scale + shift, by channel.
static void apply_scale_shift(const float *x, float *y, int channels, int sites, const float *scale,
                              const float *shift)
{
    for (int channel = 0; channel < channels; channel++)
        for (int i = 0; i < sites; i++)
            *y++ = *x++ * scale[channel] + shift[channel];
}
