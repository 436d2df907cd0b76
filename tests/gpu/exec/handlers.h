/* The functions that run instructions, as ptx/isa.def names them. */
#ifndef GPU_HANDLERS_H
#define GPU_HANDLERS_H
#include "code.h"

#define INS(pattern, operands, run) handler run;
#define FP(pattern, operands, run)  handler run;
#define FORM(pattern, select)
#define SINCE(sm, version)
#include "../ptx/isa.def"

/* Those that a form of ptx/select_*.c chooses. */
handler x_with_modes, x_cvt_with_modes;
handler x_mov_u16, x_mov_u32, x_mov_u64, x_mov_pred, x_clock, x_clock64, x_timer;
handler x_pack_32x2, x_pack_16x2, x_pack_16x4, x_unpack_32x2, x_unpack_16x2, x_unpack_16x4;
handler x_ld_u8, x_ld_s8, x_ld_16, x_ld_32, x_ld_64, x_st_8, x_st_16, x_st_32, x_st_64, x_touch;
handler x_atom_16, x_atom_32, x_atom_64;
handler x_to_window, x_from_window, x_narrow_sum, x_isspace;
handler x_setp_16, x_setp_32, x_setp_64, x_setp_f32, x_setp_f64, x_setp_f16, x_setp_bf16;
handler x_bra, x_exit, x_bar;
handler x_mma, x_ldmatrix, x_cp_async, x_cp_async_wait, x_fence;
handler x_stmatrix, x_wgmma, x_wgmma_wait;
handler x_mbarrier_init, x_mbarrier_inval, x_mbarrier_arrive, x_mbarrier_bytes, x_mbarrier_wait, x_cp_async_arrive;
handler x_bulk_load, x_bulk_store, x_bulk_wait;
handler x_cluster_arrive, x_cluster_wait, x_mapa;
handler x_shfl, x_vote, x_match_32, x_match_64, x_redux, x_activemask, x_warp_sync, x_elect;
handler x_cvt_e4m3_f32, x_cvt_e5m2_f32, x_cvt_e4m3_f16, x_cvt_e5m2_f16, x_cvt_f16_e4m3, x_cvt_f16_e5m2;
handler *cvt_handler(enum number to, enum number from);
#endif
