; ModuleID = 'LLVMDialectModule'
source_filename = "LLVMDialectModule"
target datalayout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

; Function Attrs: nounwind
define ptx_kernel void @loop_maximum_fusion(ptr noalias nofree writeonly align 256 captures(none) dereferenceable(8396784) %0) local_unnamed_addr #0 {
  %2 = addrspacecast ptr %0 to ptr addrspace(1)
  tail call void @llvm.nvvm.griddepcontrol.wait()
  %3 = tail call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x(), !range !1
  %4 = tail call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !range !2
  %5 = shl nuw nsw i32 %3, 7
  %6 = or disjoint i32 %5, %4
  %7 = icmp samesign ult i32 %6, 524799
  br i1 %7, label %8, label %38

8:                                                ; preds = %1
  %9 = shl nuw nsw i32 %4, 1
  %10 = shl nuw nsw i32 %3, 8
  %11 = or disjoint i32 %9, %10
  %12 = and i32 %11, 1048574
  %13 = zext nneg i32 %12 to i64
  %14 = mul i64 %13, -7046029254386353131
  %15 = tail call i64 @llvm.fshl.i64(i64 %13, i64 %14, i64 44)
  %16 = lshr i64 %15, 12
  %17 = or disjoint i64 %16, 4607182418800017408
  %18 = bitcast i64 %17 to double
  %19 = fadd nnan double %18, -1.000000e+00
  %20 = fmul nnan double %19, f0x3FFE8B4307D3627A
  %21 = fadd double %20, f0xBFEE8B4307D3627A
  %22 = tail call double @llvm.maximum.f64(double %21, double f0xBFEE8B4307D3627A)
  %23 = or disjoint i32 %12, 1
  %24 = zext nneg i32 %23 to i64
  %25 = mul i64 %24, -7046029254386353131
  %26 = tail call i64 @llvm.fshl.i64(i64 %24, i64 %25, i64 44)
  %27 = lshr i64 %26, 12
  %28 = or disjoint i64 %27, 4607182418800017408
  %29 = bitcast i64 %28 to double
  %30 = fadd nnan double %29, -1.000000e+00
  %31 = fmul nnan double %30, f0x3FFE8B4307D3627A
  %32 = fadd double %31, f0xBFEE8B4307D3627A
  %33 = tail call double @llvm.maximum.f64(double %32, double f0xBFEE8B4307D3627A)
  %34 = insertelement <2 x double> poison, double %22, i64 0
  %35 = insertelement <2 x double> %34, double %33, i64 1
  %36 = zext nneg i32 %11 to i64
  %37 = getelementptr inbounds [8 x i8], ptr addrspace(1) %2, i64 %36
  store <2 x double> %35, ptr addrspace(1) %37, align 16
  br label %38

38:                                               ; preds = %8, %1
  ret void
}

; Function Attrs: nounwind
declare void @llvm.nvvm.griddepcontrol.wait() #1

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 2147483647) i32 @llvm.nvvm.read.ptx.sreg.ctaid.x() #2

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 1024) i32 @llvm.nvvm.read.ptx.sreg.tid.x() #2

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.maximum.f64(double, double) #3

; Function Attrs: nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare i64 @llvm.fshl.i64(i64, i64, i64) #4

attributes #0 = { nounwind "nvvm.reqntid"="128,1,1" }
attributes #1 = { nounwind }
attributes #2 = { mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none) }
attributes #3 = { mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none) }
attributes #4 = { nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none) }

!llvm.module.flags = !{!0, !3}

!0 = !{i32 2, !"Debug Info Version", i32 3}
!1 = !{i32 0, i32 4100}
!2 = !{i32 0, i32 128}
!3 = !{i32 4, !"nvvm-reflect-ftz", i32 0}


; ModuleID = 'LLVMDialectModule'
source_filename = "LLVMDialectModule"
target datalayout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

; Function Attrs: nounwind
define ptx_kernel void @loop_multiply_fusion(ptr noalias nofree align 256 captures(none) dereferenceable(8396784) %0, ptr noalias nofree readnone align 256 captures(none) dereferenceable(8396784) %1) local_unnamed_addr #0 {
  %3 = addrspacecast ptr %0 to ptr addrspace(1)
  tail call void @llvm.nvvm.griddepcontrol.wait()
  %4 = tail call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x(), !range !1
  %5 = tail call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !range !2
  %6 = shl nuw nsw i32 %4, 7
  %7 = or disjoint i32 %6, %5
  %8 = icmp samesign ult i32 %7, 524799
  br i1 %8, label %9, label %394

9:                                                ; preds = %2
  %10 = shl nuw nsw i32 %5, 1
  %11 = shl nuw nsw i32 %4, 8
  %12 = or disjoint i32 %10, %11
  %13 = zext nneg i32 %12 to i64
  %14 = getelementptr inbounds [8 x i8], ptr addrspace(1) %3, i64 %13
  %15 = load <2 x double>, ptr addrspace(1) %14, align 16
  %16 = extractelement <2 x double> %15, i64 0
  %17 = fneg double %16
  %18 = fmul double %16, %17
  %19 = tail call i32 @llvm.nvvm.d2i.hi(double %18) #1
  %20 = bitcast i32 %19 to float
  %21 = fcmp olt float %20, f0x3FE55555
  %22 = fcmp ogt float %20, f0xBFD99999
  %or.cond.i = and i1 %21, %22
  br i1 %or.cond.i, label %23, label %40

23:                                               ; preds = %9
  %24 = fadd double %18, 2.000000e+00
  %25 = fdiv double %18, %24
  %26 = fneg double %18
  %27 = fmul double %25, %26
  %28 = fadd double %18, %27
  %29 = fmul double %28, %28
  %30 = tail call double @llvm.fma.f64(double %29, double f0x3EB372FB2FBE14B5, double f0x3ED087FFCEB2DC44)
  %31 = tail call double @llvm.fma.f64(double %30, double %29, double f0x3EF3B9FF890F468C)
  %32 = tail call double @llvm.fma.f64(double %31, double %29, double f0x3F17457EFD51BAF8)
  %33 = tail call double @llvm.fma.f64(double %32, double %29, double f0x3F3C71C8DE3CE825)
  %34 = tail call double @llvm.fma.f64(double %33, double %29, double f0x3F6249248FA4661F)
  %35 = tail call double @llvm.fma.f64(double %34, double %29, double f0x3F899999999D70C4)
  %36 = tail call double @llvm.fma.f64(double %35, double %29, double f0x3FB5555555555462)
  %37 = fmul double %29, %36
  %38 = tail call double @llvm.fma.f64(double %37, double %28, double %27)
  %39 = fadd double %18, %38
  br label %__nv_log1p.exit

40:                                               ; preds = %9
  %41 = fadd double %18, 1.000000e+00
  %42 = tail call i32 @llvm.nvvm.d2i.hi(double %41) #1
  %43 = tail call i32 @llvm.nvvm.d2i.lo(double %41) #1
  %44 = icmp slt i32 %42, 1048576
  %45 = fmul double %41, f0x4350000000000000
  %46 = tail call i32 @llvm.nvvm.d2i.lo(double %45) #1
  %47 = tail call i32 @llvm.nvvm.d2i.hi(double %45) #1
  br i1 %44, label %48, label %49

48:                                               ; preds = %40
  br label %49

49:                                               ; preds = %48, %40
  %.0.i = phi double [ %45, %48 ], [ %41, %40 ]
  %ihi.i.0.i = phi i32 [ %47, %48 ], [ %42, %40 ]
  %ilo.i.0.i = phi i32 [ %46, %48 ], [ %43, %40 ]
  %e.i.0.i = phi i32 [ -1077, %48 ], [ -1023, %40 ]
  %50 = add i32 %ihi.i.0.i, -1
  %or.cond2.i = icmp ult i32 %50, 2146435071
  br i1 %or.cond2.i, label %51, label %98

51:                                               ; preds = %49
  %52 = lshr i32 %ihi.i.0.i, 20
  %53 = add nsw i32 %e.i.0.i, %52
  %54 = and i32 %ihi.i.0.i, 1048575
  %55 = or disjoint i32 %54, 1072693248
  %56 = tail call double @llvm.nvvm.lohi.i2d(i32 %ilo.i.0.i, i32 %55) #1
  %57 = icmp samesign ugt i32 %55, 1073127582
  %58 = tail call i32 @llvm.nvvm.d2i.lo(double %56) #1
  %59 = tail call i32 @llvm.nvvm.d2i.hi(double %56) #1
  %60 = add i32 %59, -1048576
  %61 = tail call double @llvm.nvvm.lohi.i2d(i32 %58, i32 %60) #1
  %spec.select = select i1 %57, double %61, double %56
  %62 = zext i1 %57 to i32
  %spec.select13 = add nsw i32 %53, %62
  %63 = fadd double %spec.select, -1.000000e+00
  %64 = fadd double %spec.select, 1.000000e+00
  %65 = tail call double @llvm.nvvm.rcp.approx.ftz.d(double %64) #1
  %66 = fneg double %64
  %67 = tail call double @llvm.fma.f64(double %66, double %65, double 1.000000e+00)
  %68 = tail call double @llvm.fma.f64(double %67, double %67, double %67)
  %69 = tail call double @llvm.fma.f64(double %68, double %65, double %65)
  %70 = fmul double %63, %69
  %71 = fadd double %70, %70
  %72 = fmul double %71, %71
  %73 = tail call double @llvm.fma.f64(double %72, double f0x3EB1380B3AE80F1E, double f0x3ED0EE258B7A8B04)
  %74 = tail call double @llvm.fma.f64(double %73, double %72, double f0x3EF3B2669F02676F)
  %75 = tail call double @llvm.fma.f64(double %74, double %72, double f0x3F1745CBA9AB0956)
  %76 = tail call double @llvm.fma.f64(double %75, double %72, double f0x3F3C71C72D1B5154)
  %77 = tail call double @llvm.fma.f64(double %76, double %72, double f0x3F624924923BE72D)
  %78 = tail call double @llvm.fma.f64(double %77, double %72, double f0x3F8999999999A3C4)
  %79 = tail call double @llvm.fma.f64(double %78, double %72, double f0x3FB5555555555554)
  %80 = fsub double %63, %71
  %81 = fmul double %80, 2.000000e+00
  %82 = fneg double %71
  %83 = tail call double @llvm.fma.f64(double %82, double %63, double %81)
  %84 = fmul double %69, %83
  %85 = fmul double %72, %79
  %86 = tail call double @llvm.fma.f64(double %85, double %71, double %84)
  %87 = xor i32 %spec.select13, -2147483648
  %88 = tail call double @llvm.nvvm.lohi.i2d(i32 %87, i32 1127219200) #1
  %89 = tail call double @llvm.nvvm.lohi.i2d(i32 -2147483648, i32 1127219200) #1
  %90 = fsub double %88, %89
  %91 = tail call double @llvm.fma.f64(double %90, double f0x3FE62E42FEFA39EF, double %71)
  %92 = fneg double %90
  %93 = tail call double @llvm.fma.f64(double %92, double f0x3FE62E42FEFA39EF, double %91)
  %94 = fsub double %93, %71
  %95 = fsub double %86, %94
  %96 = tail call double @llvm.fma.f64(double %90, double f0x3C7ABC9E3B39803F, double %95)
  %97 = fadd double %91, %96
  br label %__nv_log1p.exit

98:                                               ; preds = %49
  %99 = tail call double @llvm.fma.f64(double %.0.i, double +inf, double +inf)
  %100 = tail call i32 @llvm.nvvm.d2i.hi(double %.0.i) #1
  %101 = and i32 %100, 2147483647
  %102 = icmp eq i32 %101, 0
  %q.i.0.i = select i1 %102, double -inf, double %99
  br label %__nv_log1p.exit

__nv_log1p.exit:                                  ; preds = %23, %51, %98
  %t.0.i = phi double [ %39, %23 ], [ %97, %51 ], [ %q.i.0.i, %98 ]
  %103 = fneg double %t.0.i
  %104 = fcmp ogt double %t.0.i, -6.250000e+00
  %105 = select i1 %104, double f0xBBB135D2E746E627, double f0x3E23040F87DBD932
  %106 = select i1 %104, double f0xBC08DDF93324D327, double f0x3E785CBE52878635
  %107 = fcmp ogt double %t.0.i, -1.600000e+01
  %108 = select i1 %107, double %105, double f0xBDBDCEC3A7785389
  %109 = select i1 %107, double %106, double f0xBDF18FEEC0E38727
  %110 = tail call double @llvm.sqrt.f64(double %103)
  %111 = select i1 %107, double 3.250000e+00, double 5.000000e+00
  %112 = fsub double -3.125000e+00, %t.0.i
  %113 = fsub double %110, %111
  %114 = select i1 %104, double %112, double %113
  %115 = fmul double %108, %114
  %116 = select i1 %104, double f0x3C37B83EEF0B7C9F, double f0xBE92777453DD3955
  %117 = fadd double %109, %115
  %118 = select i1 %107, double %116, double f0x3E19E6BF2DDA45E3
  %119 = fmul double %114, %117
  %120 = select i1 %104, double f0x3C69BA72CD589B91, double f0x3E5395ABCD554C6C
  %121 = fadd double %118, %119
  %122 = select i1 %107, double %120, double f0xBE30468FB24E2F5F
  %123 = fmul double %114, %121
  %124 = select i1 %104, double f0xBCA33689090A6B96, double f0x3EB936388A3790AD
  %125 = fadd double %122, %123
  %126 = select i1 %107, double %124, double f0x3E405AC6A8FBA182
  %127 = fmul double %114, %125
  %128 = select i1 %104, double f0x3C782E11898132E0, double f0xBED0D5DB812B5083
  %129 = fadd double %126, %127
  %130 = select i1 %107, double %128, double f0xBE50102E495FB9C0
  %131 = fmul double %114, %129
  %132 = select i1 %104, double f0x3CFDE4ACFD9E26BA, double f0x3EC8860CD5D652F6
  %133 = fadd double %130, %131
  %134 = select i1 %107, double %132, double f0x3E5F4C20E1334AF8
  %135 = fmul double %114, %133
  %136 = select i1 %104, double f0xBD26D33EED66C487, double f0x3EEA29A0CACDFB23
  %137 = fadd double %134, %135
  %138 = select i1 %107, double %136, double f0xBE722D220FDF9C3E
  %139 = fmul double %114, %137
  %140 = select i1 %104, double f0xBD36F2167040D8E2, double f0xBF08CEF1F80281F2
  %141 = fadd double %138, %139
  %142 = select i1 %107, double %140, double f0x3E8EBC8BB824CB54
  %143 = fmul double %114, %141
  %144 = select i1 %104, double f0x3D872A22C2D77E20, double f0x3F11E684D0B9188A
  %145 = fadd double %142, %143
  %146 = select i1 %107, double %144, double f0xBEB0A8D40EA372CC
  %147 = fmul double %114, %145
  %148 = select i1 %104, double f0xBDAC8859C4E5C0AF, double f0x3EF932CD54C8A222
  %149 = fadd double %146, %147
  %150 = select i1 %107, double %148, double f0x3ED2FBD29D093D2B
  %151 = fmul double %114, %149
  %152 = select i1 %104, double f0xBDCDC583D118A561, double f0xBF37448A89EF8AA3
  %153 = fadd double %150, %151
  %154 = select i1 %107, double %152, double f0xBEF4A3497E1E0FAC
  %155 = fmul double %114, %153
  %156 = select i1 %104, double f0x3E120F47CCF46B3C, double f0x3F4F3CC55AD40C25
  %157 = fadd double %154, %155
  %158 = select i1 %107, double %156, double f0x3F13EBF4EB00938F
  %159 = fmul double %114, %157
  %160 = select i1 %104, double f0xBE31A9E38DC84D60, double f0xBF5BA924132F38B1
  %161 = fadd double %158, %159
  %162 = select i1 %107, double %160, double f0xBF2C2F36A8FC5D53
  %163 = fmul double %114, %161
  %164 = select i1 %104, double f0xBE5F36CD6D3D46A9, double f0x3F6468EECA533CF8
  %165 = fadd double %162, %163
  %166 = select i1 %107, double %164, double f0xBF222EA5DF04047C
  %167 = fmul double %114, %165
  %168 = select i1 %104, double f0x3E9C6B4F5D03B787, double f0xBF6EBADABB891BBD
  %169 = fadd double %166, %167
  %170 = select i1 %107, double %168, double f0x3FF02A30D1FBA0DC
  %171 = fmul double %114, %169
  %172 = select i1 %104, double f0xBEB6E8A5434AE8A2, double f0x3F75FFCFE5B76AFC
  %173 = fadd double %170, %171
  %174 = select i1 %104, double f0xBEED1D1F7B8736F6, double f0x3FF0158A6D641D39
  %175 = select i1 %107, double %172, double f0x4013664DDD1AD7FB
  %176 = fmul double %114, %173
  %177 = fadd double %175, %176
  %178 = fmul double %114, %177
  %179 = select i1 %104, double f0x3F2879C2A212F024, double f0x4008ABCC380D5A48
  %180 = fadd double %174, %178
  %181 = select i1 %107, double %180, double %177
  %182 = fmul double %114, %181
  %183 = fadd double %179, %182
  %184 = select i1 %107, double %183, double %177
  %185 = fmul double %114, %184
  %186 = fadd double %185, f0xBF4845769484FCA8
  %187 = select i1 %104, double %186, double %184
  %188 = fmul double %114, %187
  %189 = fadd double %188, f0xBF78B6C33114F909
  %190 = select i1 %104, double %189, double %184
  %191 = fmul double %114, %190
  %192 = fadd double %191, f0x3FCEBD80D9B13E28
  %193 = select i1 %104, double %192, double %184
  %194 = fmul double %114, %193
  %195 = fadd double %194, f0x3FFA755E7C99AE86
  %196 = tail call double @llvm.nvvm.fabs.f64(double %16)
  %197 = select i1 %104, double %195, double %184
  %198 = fcmp oeq double %196, 1.000000e+00
  %.v = select i1 %198, double +inf, double %197
  %199 = fmul double %16, %.v
  %200 = fmul double %199, f0x3FF6A09E667F3BCD
  %201 = tail call nsz double @llvm.maximum.f64(double %200, double f0xBFFFFFFFFFFFFFFF)
  %202 = tail call nsz double @llvm.minimum.f64(double %201, double f0x3FFFFFFFFFFFFFFF)
  %203 = fmul double %202, f0x3FA232CD37D1A5BB
  %204 = extractelement <2 x double> %15, i64 1
  %205 = fneg double %204
  %206 = fmul double %204, %205
  %207 = tail call i32 @llvm.nvvm.d2i.hi(double %206) #1
  %208 = bitcast i32 %207 to float
  %209 = fcmp olt float %208, f0x3FE55555
  %210 = fcmp ogt float %208, f0xBFD99999
  %or.cond.i2 = and i1 %209, %210
  br i1 %or.cond.i2, label %211, label %228

211:                                              ; preds = %__nv_log1p.exit
  %212 = fadd double %206, 2.000000e+00
  %213 = fdiv double %206, %212
  %214 = fneg double %206
  %215 = fmul double %213, %214
  %216 = fadd double %206, %215
  %217 = fmul double %216, %216
  %218 = tail call double @llvm.fma.f64(double %217, double f0x3EB372FB2FBE14B5, double f0x3ED087FFCEB2DC44)
  %219 = tail call double @llvm.fma.f64(double %218, double %217, double f0x3EF3B9FF890F468C)
  %220 = tail call double @llvm.fma.f64(double %219, double %217, double f0x3F17457EFD51BAF8)
  %221 = tail call double @llvm.fma.f64(double %220, double %217, double f0x3F3C71C8DE3CE825)
  %222 = tail call double @llvm.fma.f64(double %221, double %217, double f0x3F6249248FA4661F)
  %223 = tail call double @llvm.fma.f64(double %222, double %217, double f0x3F899999999D70C4)
  %224 = tail call double @llvm.fma.f64(double %223, double %217, double f0x3FB5555555555462)
  %225 = fmul double %217, %224
  %226 = tail call double @llvm.fma.f64(double %225, double %216, double %215)
  %227 = fadd double %206, %226
  br label %__nv_log1p.exit12

228:                                              ; preds = %__nv_log1p.exit
  %229 = fadd double %206, 1.000000e+00
  %230 = tail call i32 @llvm.nvvm.d2i.hi(double %229) #1
  %231 = tail call i32 @llvm.nvvm.d2i.lo(double %229) #1
  %232 = icmp slt i32 %230, 1048576
  %233 = fmul double %229, f0x4350000000000000
  %234 = tail call i32 @llvm.nvvm.d2i.lo(double %233) #1
  %235 = tail call i32 @llvm.nvvm.d2i.hi(double %233) #1
  br i1 %232, label %236, label %237

236:                                              ; preds = %228
  br label %237

237:                                              ; preds = %236, %228
  %.0.i3 = phi double [ %233, %236 ], [ %229, %228 ]
  %ihi.i.0.i4 = phi i32 [ %235, %236 ], [ %230, %228 ]
  %ilo.i.0.i5 = phi i32 [ %234, %236 ], [ %231, %228 ]
  %e.i.0.i6 = phi i32 [ -1077, %236 ], [ -1023, %228 ]
  %238 = add i32 %ihi.i.0.i4, -1
  %or.cond2.i7 = icmp ult i32 %238, 2146435071
  br i1 %or.cond2.i7, label %239, label %286

239:                                              ; preds = %237
  %240 = lshr i32 %ihi.i.0.i4, 20
  %241 = add nsw i32 %e.i.0.i6, %240
  %242 = and i32 %ihi.i.0.i4, 1048575
  %243 = or disjoint i32 %242, 1072693248
  %244 = tail call double @llvm.nvvm.lohi.i2d(i32 %ilo.i.0.i5, i32 %243) #1
  %245 = icmp samesign ugt i32 %243, 1073127582
  %246 = tail call i32 @llvm.nvvm.d2i.lo(double %244) #1
  %247 = tail call i32 @llvm.nvvm.d2i.hi(double %244) #1
  %248 = add i32 %247, -1048576
  %249 = tail call double @llvm.nvvm.lohi.i2d(i32 %246, i32 %248) #1
  %spec.select14 = select i1 %245, double %249, double %244
  %250 = zext i1 %245 to i32
  %spec.select15 = add nsw i32 %241, %250
  %251 = fadd double %spec.select14, -1.000000e+00
  %252 = fadd double %spec.select14, 1.000000e+00
  %253 = tail call double @llvm.nvvm.rcp.approx.ftz.d(double %252) #1
  %254 = fneg double %252
  %255 = tail call double @llvm.fma.f64(double %254, double %253, double 1.000000e+00)
  %256 = tail call double @llvm.fma.f64(double %255, double %255, double %255)
  %257 = tail call double @llvm.fma.f64(double %256, double %253, double %253)
  %258 = fmul double %251, %257
  %259 = fadd double %258, %258
  %260 = fmul double %259, %259
  %261 = tail call double @llvm.fma.f64(double %260, double f0x3EB1380B3AE80F1E, double f0x3ED0EE258B7A8B04)
  %262 = tail call double @llvm.fma.f64(double %261, double %260, double f0x3EF3B2669F02676F)
  %263 = tail call double @llvm.fma.f64(double %262, double %260, double f0x3F1745CBA9AB0956)
  %264 = tail call double @llvm.fma.f64(double %263, double %260, double f0x3F3C71C72D1B5154)
  %265 = tail call double @llvm.fma.f64(double %264, double %260, double f0x3F624924923BE72D)
  %266 = tail call double @llvm.fma.f64(double %265, double %260, double f0x3F8999999999A3C4)
  %267 = tail call double @llvm.fma.f64(double %266, double %260, double f0x3FB5555555555554)
  %268 = fsub double %251, %259
  %269 = fmul double %268, 2.000000e+00
  %270 = fneg double %259
  %271 = tail call double @llvm.fma.f64(double %270, double %251, double %269)
  %272 = fmul double %257, %271
  %273 = fmul double %260, %267
  %274 = tail call double @llvm.fma.f64(double %273, double %259, double %272)
  %275 = xor i32 %spec.select15, -2147483648
  %276 = tail call double @llvm.nvvm.lohi.i2d(i32 %275, i32 1127219200) #1
  %277 = tail call double @llvm.nvvm.lohi.i2d(i32 -2147483648, i32 1127219200) #1
  %278 = fsub double %276, %277
  %279 = tail call double @llvm.fma.f64(double %278, double f0x3FE62E42FEFA39EF, double %259)
  %280 = fneg double %278
  %281 = tail call double @llvm.fma.f64(double %280, double f0x3FE62E42FEFA39EF, double %279)
  %282 = fsub double %281, %259
  %283 = fsub double %274, %282
  %284 = tail call double @llvm.fma.f64(double %278, double f0x3C7ABC9E3B39803F, double %283)
  %285 = fadd double %279, %284
  br label %__nv_log1p.exit12

286:                                              ; preds = %237
  %287 = tail call double @llvm.fma.f64(double %.0.i3, double +inf, double +inf)
  %288 = tail call i32 @llvm.nvvm.d2i.hi(double %.0.i3) #1
  %289 = and i32 %288, 2147483647
  %290 = icmp eq i32 %289, 0
  %q.i.0.i8 = select i1 %290, double -inf, double %287
  br label %__nv_log1p.exit12

__nv_log1p.exit12:                                ; preds = %211, %239, %286
  %t.0.i9 = phi double [ %227, %211 ], [ %285, %239 ], [ %q.i.0.i8, %286 ]
  %291 = fneg double %t.0.i9
  %292 = fcmp ogt double %t.0.i9, -6.250000e+00
  %293 = select i1 %292, double f0xBBB135D2E746E627, double f0x3E23040F87DBD932
  %294 = select i1 %292, double f0xBC08DDF93324D327, double f0x3E785CBE52878635
  %295 = fcmp ogt double %t.0.i9, -1.600000e+01
  %296 = select i1 %295, double %293, double f0xBDBDCEC3A7785389
  %297 = select i1 %295, double %294, double f0xBDF18FEEC0E38727
  %298 = tail call double @llvm.sqrt.f64(double %291)
  %299 = select i1 %295, double 3.250000e+00, double 5.000000e+00
  %300 = fsub double -3.125000e+00, %t.0.i9
  %301 = fsub double %298, %299
  %302 = select i1 %292, double %300, double %301
  %303 = fmul double %296, %302
  %304 = select i1 %292, double f0x3C37B83EEF0B7C9F, double f0xBE92777453DD3955
  %305 = fadd double %297, %303
  %306 = select i1 %295, double %304, double f0x3E19E6BF2DDA45E3
  %307 = fmul double %302, %305
  %308 = select i1 %292, double f0x3C69BA72CD589B91, double f0x3E5395ABCD554C6C
  %309 = fadd double %306, %307
  %310 = select i1 %295, double %308, double f0xBE30468FB24E2F5F
  %311 = fmul double %302, %309
  %312 = select i1 %292, double f0xBCA33689090A6B96, double f0x3EB936388A3790AD
  %313 = fadd double %310, %311
  %314 = select i1 %295, double %312, double f0x3E405AC6A8FBA182
  %315 = fmul double %302, %313
  %316 = select i1 %292, double f0x3C782E11898132E0, double f0xBED0D5DB812B5083
  %317 = fadd double %314, %315
  %318 = select i1 %295, double %316, double f0xBE50102E495FB9C0
  %319 = fmul double %302, %317
  %320 = select i1 %292, double f0x3CFDE4ACFD9E26BA, double f0x3EC8860CD5D652F6
  %321 = fadd double %318, %319
  %322 = select i1 %295, double %320, double f0x3E5F4C20E1334AF8
  %323 = fmul double %302, %321
  %324 = select i1 %292, double f0xBD26D33EED66C487, double f0x3EEA29A0CACDFB23
  %325 = fadd double %322, %323
  %326 = select i1 %295, double %324, double f0xBE722D220FDF9C3E
  %327 = fmul double %302, %325
  %328 = select i1 %292, double f0xBD36F2167040D8E2, double f0xBF08CEF1F80281F2
  %329 = fadd double %326, %327
  %330 = select i1 %295, double %328, double f0x3E8EBC8BB824CB54
  %331 = fmul double %302, %329
  %332 = select i1 %292, double f0x3D872A22C2D77E20, double f0x3F11E684D0B9188A
  %333 = fadd double %330, %331
  %334 = select i1 %295, double %332, double f0xBEB0A8D40EA372CC
  %335 = fmul double %302, %333
  %336 = select i1 %292, double f0xBDAC8859C4E5C0AF, double f0x3EF932CD54C8A222
  %337 = fadd double %334, %335
  %338 = select i1 %295, double %336, double f0x3ED2FBD29D093D2B
  %339 = fmul double %302, %337
  %340 = select i1 %292, double f0xBDCDC583D118A561, double f0xBF37448A89EF8AA3
  %341 = fadd double %338, %339
  %342 = select i1 %295, double %340, double f0xBEF4A3497E1E0FAC
  %343 = fmul double %302, %341
  %344 = select i1 %292, double f0x3E120F47CCF46B3C, double f0x3F4F3CC55AD40C25
  %345 = fadd double %342, %343
  %346 = select i1 %295, double %344, double f0x3F13EBF4EB00938F
  %347 = fmul double %302, %345
  %348 = select i1 %292, double f0xBE31A9E38DC84D60, double f0xBF5BA924132F38B1
  %349 = fadd double %346, %347
  %350 = select i1 %295, double %348, double f0xBF2C2F36A8FC5D53
  %351 = fmul double %302, %349
  %352 = select i1 %292, double f0xBE5F36CD6D3D46A9, double f0x3F6468EECA533CF8
  %353 = fadd double %350, %351
  %354 = select i1 %295, double %352, double f0xBF222EA5DF04047C
  %355 = fmul double %302, %353
  %356 = select i1 %292, double f0x3E9C6B4F5D03B787, double f0xBF6EBADABB891BBD
  %357 = fadd double %354, %355
  %358 = select i1 %295, double %356, double f0x3FF02A30D1FBA0DC
  %359 = fmul double %302, %357
  %360 = select i1 %292, double f0xBEB6E8A5434AE8A2, double f0x3F75FFCFE5B76AFC
  %361 = fadd double %358, %359
  %362 = select i1 %292, double f0xBEED1D1F7B8736F6, double f0x3FF0158A6D641D39
  %363 = select i1 %295, double %360, double f0x4013664DDD1AD7FB
  %364 = fmul double %302, %361
  %365 = fadd double %363, %364
  %366 = fmul double %302, %365
  %367 = select i1 %292, double f0x3F2879C2A212F024, double f0x4008ABCC380D5A48
  %368 = fadd double %362, %366
  %369 = select i1 %295, double %368, double %365
  %370 = fmul double %302, %369
  %371 = fadd double %367, %370
  %372 = select i1 %295, double %371, double %365
  %373 = fmul double %302, %372
  %374 = fadd double %373, f0xBF4845769484FCA8
  %375 = select i1 %292, double %374, double %372
  %376 = fmul double %302, %375
  %377 = fadd double %376, f0xBF78B6C33114F909
  %378 = select i1 %292, double %377, double %372
  %379 = fmul double %302, %378
  %380 = fadd double %379, f0x3FCEBD80D9B13E28
  %381 = select i1 %292, double %380, double %372
  %382 = fmul double %302, %381
  %383 = fadd double %382, f0x3FFA755E7C99AE86
  %384 = tail call double @llvm.nvvm.fabs.f64(double %204)
  %385 = select i1 %292, double %383, double %372
  %386 = fcmp oeq double %384, 1.000000e+00
  %.v1 = select i1 %386, double +inf, double %385
  %387 = fmul double %204, %.v1
  %388 = fmul double %387, f0x3FF6A09E667F3BCD
  %389 = tail call nsz double @llvm.maximum.f64(double %388, double f0xBFFFFFFFFFFFFFFF)
  %390 = tail call nsz double @llvm.minimum.f64(double %389, double f0x3FFFFFFFFFFFFFFF)
  %391 = fmul double %390, f0x3FA232CD37D1A5BB
  %392 = insertelement <2 x double> poison, double %203, i64 0
  %393 = insertelement <2 x double> %392, double %391, i64 1
  store <2 x double> %393, ptr addrspace(1) %14, align 16
  br label %394

394:                                              ; preds = %__nv_log1p.exit12, %2
  ret void
}

; Function Attrs: nounwind
declare void @llvm.nvvm.griddepcontrol.wait() #1

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 2147483647) i32 @llvm.nvvm.read.ptx.sreg.ctaid.x() #2

; Function Attrs: mustprogress nocallback nofree nosync nounwind speculatable willreturn memory(none)
declare noundef range(i32 0, 1024) i32 @llvm.nvvm.read.ptx.sreg.tid.x() #2

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.maximum.f64(double, double) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.minimum.f64(double, double) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.nvvm.fabs.f64(double) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare i32 @llvm.nvvm.d2i.hi(double) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare i32 @llvm.nvvm.d2i.lo(double) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.nvvm.lohi.i2d(i32, i32) #3

; Function Attrs: mustprogress nocallback nocreateundeforpoison nofree nosync nounwind willreturn memory(none)
declare double @llvm.nvvm.rcp.approx.ftz.d(double) #4

; Function Attrs: nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.sqrt.f64(double) #5

; Function Attrs: nocallback nocreateundeforpoison nofree nosync nounwind speculatable willreturn memory(none)
declare double @llvm.fma.f64(double, double, double) #5

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
!1 = !{i32 0, i32 4100}
!2 = !{i32 0, i32 128}
!3 = !{!"clang version 3.8.0 (tags/RELEASE_380/final)"}
!4 = !{i32 2, i32 0}
!30 = !{i32 4, !"nvvm-reflect-ftz", i32 0}
