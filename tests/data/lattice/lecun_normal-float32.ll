; ModuleID = 'LLVMDialectModule'
source_filename = "LLVMDialectModule"
target datalayout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

; Function Attrs: nounwind
define ptx_kernel void @loop_multiply_fusion(ptr noalias nofree writeonly align 256 captures(none) dereferenceable(33558848) %0) local_unnamed_addr #0 {
  %2 = addrspacecast ptr %0 to ptr addrspace(1)
  tail call void @llvm.nvvm.griddepcontrol.wait()
  %3 = tail call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x(), !range !1
  %4 = tail call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !range !2
  %5 = shl nuw nsw i32 %3, 7
  %6 = or disjoint i32 %5, %4
  %7 = icmp samesign ult i32 %6, 2097428
  br i1 %7, label %__nv_log1pf.exit, label %318

__nv_log1pf.exit:                                 ; preds = %1
  %8 = shl nuw nsw i32 %4, 2
  %9 = shl nuw nsw i32 %3, 9
  %10 = or disjoint i32 %8, %9
  %urem = urem i32 %10, 8389712
  %11 = or i32 %urem, 1065353216
  %12 = bitcast i32 %11 to float
  %13 = fadd nnan float %12, -1.000000e+00
  %14 = fmul nnan float %13, f0x3FF45A18
  %15 = fadd float %14, f0xBF745A18
  %16 = tail call float @llvm.maximum.f32(float %15, float f0xBF745A18)
  %17 = fneg float %16
  %18 = fmul float %16, %17
  %19 = tail call float @llvm.nvvm.fadd.f32(float %18, float 1.000000e+00, /* rnd=rz */ i32 0)
  %20 = bitcast float %19 to i32
  %21 = add i32 %20, -1061158912
  %22 = and i32 %21, -8388608
  %23 = bitcast float %18 to i32
  %24 = sub i32 %23, %22
  %25 = bitcast i32 %24 to float
  %26 = sub i32 1082130432, %22
  %27 = bitcast i32 %26 to float
  %28 = tail call float @llvm.fma.f32(float %27, float 2.500000e-01, float -1.000000e+00)
  %29 = fadd float %28, %25
  %30 = sitofp i32 %22 to float
  %31 = fmul nnan float %30, f0x34000000
  %32 = tail call float @llvm.fma.f32(float %29, float f0xBD39BF78, float f0x3DD80012)
  %33 = tail call float @llvm.fma.f32(float %32, float %29, float f0xBE0778E0)
  %34 = tail call float @llvm.fma.f32(float %33, float %29, float f0x3E146475)
  %35 = tail call float @llvm.fma.f32(float %34, float %29, float f0xBE2A68DD)
  %36 = tail call float @llvm.fma.f32(float %35, float %29, float f0x3E4CAF9E)
  %37 = tail call float @llvm.fma.f32(float %36, float %29, float f0xBE800042)
  %38 = tail call float @llvm.fma.f32(float %37, float %29, float f0x3EAAAAE6)
  %39 = tail call float @llvm.fma.f32(float %38, float %29, float -5.000000e-01)
  %40 = fmul float %29, %39
  %41 = tail call float @llvm.fma.f32(float %40, float %29, float %29)
  %42 = tail call float @llvm.fma.f32(float %31, float f0x3F317218, float %41)
  %43 = icmp ugt i32 %23, 2139095039
  %44 = icmp sgt i32 %23, -1082130432
  %45 = tail call float @llvm.fma.f32(float %18, float +inf, float +inf)
  %r.0.i = select i1 %44, float %45, float %42
  %46 = fcmp oeq float %18, 0.000000e+00
  %r.1.i = select i1 %46, float -0.000000e+00, float %r.0.i
  %spec.select = select i1 %43, float %r.1.i, float %42
  %47 = fneg float %spec.select
  %48 = fcmp ogt float %spec.select, -5.000000e+00
  %49 = select i1 %48, float f0x32F16588, float f0xB951F09B
  %50 = select i1 %48, float f0x34B84B36, float f0x38D3B56B
  %51 = tail call float @llvm.nvvm.sqrt.approx.f(float %47) #1
  %52 = fsub float -2.500000e+00, %spec.select
  %53 = fadd float %51, -3.000000e+00
  %54 = select i1 %48, float %52, float %53
  %55 = fmul float %49, %54
  %56 = fadd float %50, %55
  %57 = select i1 %48, float f0xB66C7357, float f0x3AB0DC72
  %58 = fmul float %54, %56
  %59 = fadd float %57, %58
  %60 = select i1 %48, float f0xB6935AC1, float f0xBB70BDE7
  %61 = fmul float %54, %59
  %62 = fadd float %60, %61
  %63 = select i1 %48, float f0x396532DB, float f0x3BBC127B
  %64 = fmul float %54, %62
  %65 = fadd float %63, %64
  %66 = select i1 %48, float f0xBAA45408, float f0xBBF9C5D7
  %67 = fmul float %54, %65
  %68 = fadd float %66, %67
  %69 = select i1 %48, float f0xBB88E4EF, float f0x3C1AA57E
  %70 = fmul float %54, %68
  %71 = fadd float %69, %70
  %72 = select i1 %48, float f0x3E7C8F63, float f0x3F8036DB
  %73 = fmul float %54, %71
  %74 = fadd float %72, %73
  %75 = select i1 %48, float f0x3FC02E2F, float f0x40354F7E
  %76 = fmul float %54, %74
  %77 = tail call float @llvm.nvvm.fabs.f32(float %16)
  %78 = fadd float %75, %76
  %79 = fcmp oeq float %77, 1.000000e+00
  %.v = select i1 %79, float +inf, float %78
  %80 = fmul float %16, %.v
  %81 = fmul float %80, f0x3FB504F3
  %82 = tail call nsz float @llvm.maximum.f32(float %81, float f0xBFFFFFFF)
  %83 = tail call nsz float @llvm.minimum.f32(float %82, float f0x3FFFFFFF)
  %84 = fmul float %83, f0x3CAD0EF5
  %85 = zext nneg i32 %urem to i64
  %86 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %85
  store float %84, ptr addrspace(1) %86, align 16
  %87 = or disjoint i32 %10, 1
  %urem1 = urem i32 %87, 8389712
  %88 = or i32 %urem1, 1065353216
  %89 = bitcast i32 %88 to float
  %90 = fadd nnan float %89, -1.000000e+00
  %91 = fmul nnan float %90, f0x3FF45A18
  %92 = fadd float %91, f0xBF745A18
  %93 = tail call float @llvm.maximum.f32(float %92, float f0xBF745A18)
  %94 = fneg float %93
  %95 = fmul float %93, %94
  %96 = tail call float @llvm.nvvm.fadd.f32(float %95, float 1.000000e+00, /* rnd=rz */ i32 0)
  %97 = bitcast float %96 to i32
  %98 = add i32 %97, -1061158912
  %99 = and i32 %98, -8388608
  %100 = bitcast float %95 to i32
  %101 = sub i32 %100, %99
  %102 = bitcast i32 %101 to float
  %103 = sub i32 1082130432, %99
  %104 = bitcast i32 %103 to float
  %105 = tail call float @llvm.fma.f32(float %104, float 2.500000e-01, float -1.000000e+00)
  %106 = fadd float %105, %102
  %107 = sitofp i32 %99 to float
  %108 = fmul nnan float %107, f0x34000000
  %109 = tail call float @llvm.fma.f32(float %106, float f0xBD39BF78, float f0x3DD80012)
  %110 = tail call float @llvm.fma.f32(float %109, float %106, float f0xBE0778E0)
  %111 = tail call float @llvm.fma.f32(float %110, float %106, float f0x3E146475)
  %112 = tail call float @llvm.fma.f32(float %111, float %106, float f0xBE2A68DD)
  %113 = tail call float @llvm.fma.f32(float %112, float %106, float f0x3E4CAF9E)
  %114 = tail call float @llvm.fma.f32(float %113, float %106, float f0xBE800042)
  %115 = tail call float @llvm.fma.f32(float %114, float %106, float f0x3EAAAAE6)
  %116 = tail call float @llvm.fma.f32(float %115, float %106, float -5.000000e-01)
  %117 = fmul float %106, %116
  %118 = tail call float @llvm.fma.f32(float %117, float %106, float %106)
  %119 = tail call float @llvm.fma.f32(float %108, float f0x3F317218, float %118)
  %120 = icmp ugt i32 %100, 2139095039
  %121 = icmp sgt i32 %100, -1082130432
  %122 = tail call float @llvm.fma.f32(float %95, float +inf, float +inf)
  %r.0.i8 = select i1 %121, float %122, float %119
  %123 = fcmp oeq float %95, 0.000000e+00
  %r.1.i9 = select i1 %123, float -0.000000e+00, float %r.0.i8
  %r.2.i7 = select i1 %120, float %r.1.i9, float %119
  %124 = fneg float %r.2.i7
  %125 = fcmp ogt float %r.2.i7, -5.000000e+00
  %126 = select i1 %125, float f0x32F16588, float f0xB951F09B
  %127 = select i1 %125, float f0x34B84B36, float f0x38D3B56B
  %128 = tail call float @llvm.nvvm.sqrt.approx.f(float %124) #1
  %129 = fsub float -2.500000e+00, %r.2.i7
  %130 = fadd float %128, -3.000000e+00
  %131 = select i1 %125, float %129, float %130
  %132 = fmul float %126, %131
  %133 = fadd float %127, %132
  %134 = select i1 %125, float f0xB66C7357, float f0x3AB0DC72
  %135 = fmul float %131, %133
  %136 = fadd float %134, %135
  %137 = select i1 %125, float f0xB6935AC1, float f0xBB70BDE7
  %138 = fmul float %131, %136
  %139 = fadd float %137, %138
  %140 = select i1 %125, float f0x396532DB, float f0x3BBC127B
  %141 = fmul float %131, %139
  %142 = fadd float %140, %141
  %143 = select i1 %125, float f0xBAA45408, float f0xBBF9C5D7
  %144 = fmul float %131, %142
  %145 = fadd float %143, %144
  %146 = select i1 %125, float f0xBB88E4EF, float f0x3C1AA57E
  %147 = fmul float %131, %145
  %148 = fadd float %146, %147
  %149 = select i1 %125, float f0x3E7C8F63, float f0x3F8036DB
  %150 = fmul float %131, %148
  %151 = fadd float %149, %150
  %152 = select i1 %125, float f0x3FC02E2F, float f0x40354F7E
  %153 = fmul float %131, %151
  %154 = tail call float @llvm.nvvm.fabs.f32(float %93)
  %155 = fadd float %152, %153
  %156 = fcmp oeq float %154, 1.000000e+00
  %.v2 = select i1 %156, float +inf, float %155
  %157 = fmul float %93, %.v2
  %158 = fmul float %157, f0x3FB504F3
  %159 = tail call nsz float @llvm.maximum.f32(float %158, float f0xBFFFFFFF)
  %160 = tail call nsz float @llvm.minimum.f32(float %159, float f0x3FFFFFFF)
  %161 = fmul float %160, f0x3CAD0EF5
  %162 = zext nneg i32 %urem1 to i64
  %163 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %162
  store float %161, ptr addrspace(1) %163, align 4
  %164 = or disjoint i32 %10, 2
  %urem3 = urem i32 %164, 8389712
  %165 = or i32 %urem3, 1065353216
  %166 = bitcast i32 %165 to float
  %167 = fadd nnan float %166, -1.000000e+00
  %168 = fmul nnan float %167, f0x3FF45A18
  %169 = fadd float %168, f0xBF745A18
  %170 = tail call float @llvm.maximum.f32(float %169, float f0xBF745A18)
  %171 = fneg float %170
  %172 = fmul float %170, %171
  %173 = tail call float @llvm.nvvm.fadd.f32(float %172, float 1.000000e+00, /* rnd=rz */ i32 0)
  %174 = bitcast float %173 to i32
  %175 = add i32 %174, -1061158912
  %176 = and i32 %175, -8388608
  %177 = bitcast float %172 to i32
  %178 = sub i32 %177, %176
  %179 = bitcast i32 %178 to float
  %180 = sub i32 1082130432, %176
  %181 = bitcast i32 %180 to float
  %182 = tail call float @llvm.fma.f32(float %181, float 2.500000e-01, float -1.000000e+00)
  %183 = fadd float %182, %179
  %184 = sitofp i32 %176 to float
  %185 = fmul nnan float %184, f0x34000000
  %186 = tail call float @llvm.fma.f32(float %183, float f0xBD39BF78, float f0x3DD80012)
  %187 = tail call float @llvm.fma.f32(float %186, float %183, float f0xBE0778E0)
  %188 = tail call float @llvm.fma.f32(float %187, float %183, float f0x3E146475)
  %189 = tail call float @llvm.fma.f32(float %188, float %183, float f0xBE2A68DD)
  %190 = tail call float @llvm.fma.f32(float %189, float %183, float f0x3E4CAF9E)
  %191 = tail call float @llvm.fma.f32(float %190, float %183, float f0xBE800042)
  %192 = tail call float @llvm.fma.f32(float %191, float %183, float f0x3EAAAAE6)
  %193 = tail call float @llvm.fma.f32(float %192, float %183, float -5.000000e-01)
  %194 = fmul float %183, %193
  %195 = tail call float @llvm.fma.f32(float %194, float %183, float %183)
  %196 = tail call float @llvm.fma.f32(float %185, float f0x3F317218, float %195)
  %197 = icmp ugt i32 %177, 2139095039
  %198 = icmp sgt i32 %177, -1082130432
  %199 = tail call float @llvm.fma.f32(float %172, float +inf, float +inf)
  %r.0.i12 = select i1 %198, float %199, float %196
  %200 = fcmp oeq float %172, 0.000000e+00
  %r.1.i13 = select i1 %200, float -0.000000e+00, float %r.0.i12
  %r.2.i11 = select i1 %197, float %r.1.i13, float %196
  %201 = fneg float %r.2.i11
  %202 = fcmp ogt float %r.2.i11, -5.000000e+00
  %203 = select i1 %202, float f0x32F16588, float f0xB951F09B
  %204 = select i1 %202, float f0x34B84B36, float f0x38D3B56B
  %205 = tail call float @llvm.nvvm.sqrt.approx.f(float %201) #1
  %206 = fsub float -2.500000e+00, %r.2.i11
  %207 = fadd float %205, -3.000000e+00
  %208 = select i1 %202, float %206, float %207
  %209 = fmul float %203, %208
  %210 = fadd float %204, %209
  %211 = select i1 %202, float f0xB66C7357, float f0x3AB0DC72
  %212 = fmul float %208, %210
  %213 = fadd float %211, %212
  %214 = select i1 %202, float f0xB6935AC1, float f0xBB70BDE7
  %215 = fmul float %208, %213
  %216 = fadd float %214, %215
  %217 = select i1 %202, float f0x396532DB, float f0x3BBC127B
  %218 = fmul float %208, %216
  %219 = fadd float %217, %218
  %220 = select i1 %202, float f0xBAA45408, float f0xBBF9C5D7
  %221 = fmul float %208, %219
  %222 = fadd float %220, %221
  %223 = select i1 %202, float f0xBB88E4EF, float f0x3C1AA57E
  %224 = fmul float %208, %222
  %225 = fadd float %223, %224
  %226 = select i1 %202, float f0x3E7C8F63, float f0x3F8036DB
  %227 = fmul float %208, %225
  %228 = fadd float %226, %227
  %229 = select i1 %202, float f0x3FC02E2F, float f0x40354F7E
  %230 = fmul float %208, %228
  %231 = tail call float @llvm.nvvm.fabs.f32(float %170)
  %232 = fadd float %229, %230
  %233 = fcmp oeq float %231, 1.000000e+00
  %.v4 = select i1 %233, float +inf, float %232
  %234 = fmul float %170, %.v4
  %235 = fmul float %234, f0x3FB504F3
  %236 = tail call nsz float @llvm.maximum.f32(float %235, float f0xBFFFFFFF)
  %237 = tail call nsz float @llvm.minimum.f32(float %236, float f0x3FFFFFFF)
  %238 = fmul float %237, f0x3CAD0EF5
  %239 = zext nneg i32 %urem3 to i64
  %240 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %239
  store float %238, ptr addrspace(1) %240, align 8
  %241 = or disjoint i32 %10, 3
  %urem5 = urem i32 %241, 8389712
  %242 = or i32 %urem5, 1065353216
  %243 = bitcast i32 %242 to float
  %244 = fadd nnan float %243, -1.000000e+00
  %245 = fmul nnan float %244, f0x3FF45A18
  %246 = fadd float %245, f0xBF745A18
  %247 = tail call float @llvm.maximum.f32(float %246, float f0xBF745A18)
  %248 = fneg float %247
  %249 = fmul float %247, %248
  %250 = tail call float @llvm.nvvm.fadd.f32(float %249, float 1.000000e+00, /* rnd=rz */ i32 0)
  %251 = bitcast float %250 to i32
  %252 = add i32 %251, -1061158912
  %253 = and i32 %252, -8388608
  %254 = bitcast float %249 to i32
  %255 = sub i32 %254, %253
  %256 = bitcast i32 %255 to float
  %257 = sub i32 1082130432, %253
  %258 = bitcast i32 %257 to float
  %259 = tail call float @llvm.fma.f32(float %258, float 2.500000e-01, float -1.000000e+00)
  %260 = fadd float %259, %256
  %261 = sitofp i32 %253 to float
  %262 = fmul nnan float %261, f0x34000000
  %263 = tail call float @llvm.fma.f32(float %260, float f0xBD39BF78, float f0x3DD80012)
  %264 = tail call float @llvm.fma.f32(float %263, float %260, float f0xBE0778E0)
  %265 = tail call float @llvm.fma.f32(float %264, float %260, float f0x3E146475)
  %266 = tail call float @llvm.fma.f32(float %265, float %260, float f0xBE2A68DD)
  %267 = tail call float @llvm.fma.f32(float %266, float %260, float f0x3E4CAF9E)
  %268 = tail call float @llvm.fma.f32(float %267, float %260, float f0xBE800042)
  %269 = tail call float @llvm.fma.f32(float %268, float %260, float f0x3EAAAAE6)
  %270 = tail call float @llvm.fma.f32(float %269, float %260, float -5.000000e-01)
  %271 = fmul float %260, %270
  %272 = tail call float @llvm.fma.f32(float %271, float %260, float %260)
  %273 = tail call float @llvm.fma.f32(float %262, float f0x3F317218, float %272)
  %274 = icmp ugt i32 %254, 2139095039
  %275 = icmp sgt i32 %254, -1082130432
  %276 = tail call float @llvm.fma.f32(float %249, float +inf, float +inf)
  %r.0.i16 = select i1 %275, float %276, float %273
  %277 = fcmp oeq float %249, 0.000000e+00
  %r.1.i17 = select i1 %277, float -0.000000e+00, float %r.0.i16
  %r.2.i15 = select i1 %274, float %r.1.i17, float %273
  %278 = fneg float %r.2.i15
  %279 = fcmp ogt float %r.2.i15, -5.000000e+00
  %280 = select i1 %279, float f0x32F16588, float f0xB951F09B
  %281 = select i1 %279, float f0x34B84B36, float f0x38D3B56B
  %282 = tail call float @llvm.nvvm.sqrt.approx.f(float %278) #1
  %283 = fsub float -2.500000e+00, %r.2.i15
  %284 = fadd float %282, -3.000000e+00
  %285 = select i1 %279, float %283, float %284
  %286 = fmul float %280, %285
  %287 = fadd float %281, %286
  %288 = select i1 %279, float f0xB66C7357, float f0x3AB0DC72
  %289 = fmul float %285, %287
  %290 = fadd float %288, %289
  %291 = select i1 %279, float f0xB6935AC1, float f0xBB70BDE7
  %292 = fmul float %285, %290
  %293 = fadd float %291, %292
  %294 = select i1 %279, float f0x396532DB, float f0x3BBC127B
  %295 = fmul float %285, %293
  %296 = fadd float %294, %295
  %297 = select i1 %279, float f0xBAA45408, float f0xBBF9C5D7
  %298 = fmul float %285, %296
  %299 = fadd float %297, %298
  %300 = select i1 %279, float f0xBB88E4EF, float f0x3C1AA57E
  %301 = fmul float %285, %299
  %302 = fadd float %300, %301
  %303 = select i1 %279, float f0x3E7C8F63, float f0x3F8036DB
  %304 = fmul float %285, %302
  %305 = fadd float %303, %304
  %306 = select i1 %279, float f0x3FC02E2F, float f0x40354F7E
  %307 = fmul float %285, %305
  %308 = tail call float @llvm.nvvm.fabs.f32(float %247)
  %309 = fadd float %306, %307
  %310 = fcmp oeq float %308, 1.000000e+00
  %.v6 = select i1 %310, float +inf, float %309
  %311 = fmul float %247, %.v6
  %312 = fmul float %311, f0x3FB504F3
  %313 = tail call nsz float @llvm.maximum.f32(float %312, float f0xBFFFFFFF)
  %314 = tail call nsz float @llvm.minimum.f32(float %313, float f0x3FFFFFFF)
  %315 = fmul float %314, f0x3CAD0EF5
  %316 = zext nneg i32 %urem5 to i64
  %317 = getelementptr inbounds [4 x i8], ptr addrspace(1) %2, i64 %316
  store float %315, ptr addrspace(1) %317, align 4
  br label %318

318:                                              ; preds = %__nv_log1pf.exit, %1
  ret void
}

; Function Attrs: nounwind
declare void @llvm.nvvm.griddepcontrol.wait() #1

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 2147483647) i32 @llvm.nvvm.read.ptx.sreg.ctaid.x() #2

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 1024) i32 @llvm.nvvm.read.ptx.sreg.tid.x() #2

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.maximum.f32(float, float) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.minimum.f32(float, float) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.nvvm.fabs.f32(float) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind willreturn memory(none)
declare float @llvm.nvvm.sqrt.approx.f(float) #4

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.nvvm.fadd.f32(float, float, i32 immarg range(i32 0, 4)) #3

; Function Attrs: nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare float @llvm.fma.f32(float, float, float) #5

attributes #0 = { nounwind "nvvm.reqntid"="128,1,1" }
attributes #1 = { nounwind }
attributes #2 = { mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none) }
attributes #3 = { mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none) }
attributes #4 = { mustprogress nocallback nocreateundeforpoison nofree nosync nounwind willreturn memory(none) }
attributes #5 = { nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none) }

!llvm.module.flags = !{!0, !30}
!llvm.ident = !{!3}
!nvvmir.version = !{!4}

!0 = !{i32 2, !"Debug Info Version", i32 3}
!1 = !{i32 0, i32 16387}
!2 = !{i32 0, i32 128}
!3 = !{!"clang version 3.8.0 (tags/RELEASE_380/final)"}
!4 = !{i32 2, i32 0}
!30 = !{i32 4, !"nvvm-reflect-ftz", i32 0}
